package feature

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/lab/machine"
)

func probe(t *testing.T, name string) Result {
	t.Helper()
	f, ok := Find(name)
	if !ok {
		t.Fatalf("no feature %s", name)
	}
	r := f.Probe()
	if r.Feature != name || r.Observed == "" {
		t.Errorf("%+v: it must name the feature and say what was seen", r)
	}
	return r
}

// witness is somebody else's word on a feature: whether it is there. Where nobody can
// tell, the reason.
type witness func() (there bool, reason string)

// witnesses are of those features on which there is one beside the probe.
var witnesses = map[string]witness{
	"dax":           anyLine("/proc/self/mountinfo", ` - \S+ \S+ \S*\bdax\b(=always)?`),
	"eadr":          anyFile("/sys/bus/nd/devices/region*/persistence_domain", `^cpu_cache$`),
	"pku":           anyLine("/proc/cpuinfo", `^flags\s.*\bospke\b`),
	"memfd-secret":  secretParameter,
	"noexec-seal":   exists("/proc/sys/vm/memfd_noexec"), // came with the flag
	"mseal":         kernelSymbol(`sys_mseal$`),
	"procmap-query": queryWorks,
	"pagemap-scan":  scanWorks,
	"psi":           exists("/proc/pressure/memory"),
	"numa":          anyLine("/sys/devices/system/node/has_memory", `[-,]`),
}

// Every probe agrees with somebody else's word, and has an answer where there is one.
func TestProbeAgrees(t *testing.T) {
	for name, witness := range witnesses {
		t.Run(name, func(t *testing.T) {
			there, reason := witness()
			if reason != "" {
				t.Skip(reason)
			}
			want := Absent
			if there {
				want = Present
			}
			r := probe(t, name)
			if os.Geteuid() != 0 && r.Answer == Unknown && (r.Errno == "EACCES" || r.Errno == "EPERM") {
				t.Skipf("needs privilege: %s", r.Observed)
			}
			if r.Answer != want {
				t.Errorf("%s; the witness says %s: %+v", r.Answer, want, r)
			}
		})
	}
}

func anyLine(path, pattern string) witness {
	return func() (bool, string) {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err.Error()
		}
		return regexp.MustCompile("(?m)" + pattern).Match(text), ""
	}
}

func anyFile(pattern, text string) witness {
	return func() (bool, string) {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return false, err.Error()
		}
		for _, file := range files {
			if there, reason := anyLine(file, text)(); there || reason != "" {
				return there, reason
			}
		}
		return false, ""
	}
}

func exists(path string) witness {
	return func() (bool, string) {
		_, err := os.Stat(path)
		return err == nil, ""
	}
}

func kernelSymbol(pattern string) witness {
	return func() (bool, string) {
		text, err := os.ReadFile("/proc/kallsyms")
		if err != nil {
			return false, err.Error()
		}
		// The control: a system call that every kernel has.
		if !regexp.MustCompile(`(?m)sys_mprotect$`).Match(text) {
			return false, "kallsyms has no system calls"
		}
		return regexp.MustCompile("(?m)" + pattern).Match(text), ""
	}
}

// secretParameter: the kernel's switch. Where it is on, the call must work; where there
// is none, there is no such memory. Only the superuser can read it.
func secretParameter() (bool, string) {
	text, err := os.ReadFile("/sys/module/secretmem/parameters/enable")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, ""
	case err != nil:
		return false, err.Error()
	}
	return strings.TrimSpace(string(text)) == "Y", ""
}

func ownReader(t func(*vma.Reader, *process.Process) error) (bool, string) {
	self, err := process.Default().Open(os.Getpid())
	if err != nil {
		return false, err.Error()
	}
	defer self.Close()
	var reader vma.Reader
	err = t(&reader, self)
	if err != nil && !errors.Is(err, vma.ErrUnsupported) {
		return false, err.Error()
	}
	return err == nil, ""
}

func queryWorks() (bool, string) {
	return ownReader(func(r *vma.Reader, p *process.Process) error {
		return r.Query(p, vma.Filter{}, func(*vma.VMA) error { return nil })
	})
}

func scanWorks() (bool, string) {
	return ownReader(func(r *vma.Reader, p *process.Process) error {
		return r.Scan(p, 0, vma.PageSize, vma.Present, func(vma.Run) error { return nil })
	})
}

// MAP_SYNC needs DAX, and enforcement needs loading.
func TestOneNeedsTheOther(t *testing.T) {
	for what, needs := range map[string]string{"map-sync": "dax", "bpf-lsm-enforce": "bpf-lsm-load"} {
		if a, b := probe(t, what), probe(t, needs); a.Answer == Present && b.Answer != Present {
			t.Errorf("%+v without %+v", a, b)
		}
	}
}

// The same kernel, asked without a library, with a program that can't be right: EPERM
// comes before it is looked at. It is absence where the privilege is there.
func TestBPFLSMLoad(t *testing.T) {
	load := func(progType uint32) error {
		program, err := sys.BPFProgLoad(progType, "safevma_test", []uint64{0xb7, 0x95}) // r0 = 0; exit
		if err == nil {
			program.Close()
		}
		return err
	}
	const rawTracepoint, lsm = 17, 29
	r := probe(t, "bpf-lsm-load")
	switch refused := errors.Is(load(lsm), syscall.EPERM); {
	case load(rawTracepoint) != nil:
		if r.Answer != Unknown {
			t.Errorf("without the privilege: %+v", r)
		}
	case refused:
		if r.Answer != Absent || r.Errno != "EPERM" {
			t.Errorf("refused to the privileged: %+v", r)
		}
	default:
		if r.Answer == Unknown || r.Errno == "EPERM" {
			t.Errorf("not refused: %+v", r)
		}
	}
}

func inside(t *testing.T) (machine.Machine, bool) {
	t.Helper()
	m, inside, err := machine.Here()
	if err != nil {
		t.Fatal(err)
	}
	return m, inside
}

// What changes the host is not tried outside the lab.
func TestLabOnlyOutside(t *testing.T) {
	if _, inside := inside(t); inside {
		t.Skip("this is the lab")
	}
	for _, f := range All() {
		if !f.LabOnly() {
			continue
		}
		tried := false
		f.probe = func() Result { tried = true; return present("", "") }
		if r := f.Probe(); tried || r.Answer != Unknown || !strings.Contains(r.Observed, f.Risk) {
			t.Errorf("%s: tried %t, %+v", f.Name, tried, r)
		}
	}
}

// On a lab machine exactly the features that are expected are there.
func TestExpectationsHold(t *testing.T) {
	m, inside := inside(t)
	if !inside {
		t.Skip("needs the lab: nothing is known of what this machine should have")
	}
	report, err := ProbeAll()
	if err != nil {
		t.Fatal(err)
	}
	if report.Machine == nil || report.Kernel != m.Kernel {
		t.Errorf("the report is of %s, the machine of %s", report.Kernel, m.Kernel)
	}
	var table strings.Builder
	if err := report.Text(&table); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	for _, row := range report.Features {
		f, _ := Find(row.Feature)
		switch {
		case f.Privileged && os.Geteuid() != 0:
		case row.Answer == Unknown, (row.Answer == Present) != *row.Expected:
			t.Errorf("%s is %s (%s); expected: %t, %s", row.Feature, row.Answer, row.Observed, *row.Expected, row.Why)
		}
	}
}

// A process is after the probes as it was before: descriptors, mappings, children.
func TestProbesLeaveNothing(t *testing.T) {
	if _, err := ProbeAll(); err != nil { // what stays, such as the sealed page, stays once
		t.Fatal(err)
	}
	// What was left open must not be closed by the garbage collector before it is seen.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := ownState(t)
	if _, err := ProbeAll(); err != nil {
		t.Fatal(err)
	}
	if after := ownState(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// ownState is what of the process a probe could leave behind. The runtime makes private
// mappings of its own, so only the others are looked at.
func ownState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d descriptors\n", len(fds))
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:") || strings.Contains(line, "secretmem") || strings.Contains(line, "s 0") {
			b.WriteString(line)
		}
	}
	children, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range children {
		if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
			fmt.Fprintf(&b, "children %s\n", text)
		}
	}
	return b.String()
}

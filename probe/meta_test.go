package probe

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

// Every probe whose controls are broken says "unknown": none has a verdict that does not
// hang on its controls.
func TestBrokenControls(t *testing.T) {
	for _, how := range []sabotage{swapped, deaf} {
		t.Run(string(how), func(t *testing.T) {
			probes := Catalogue()
			if testing.Short() && how == deaf { // each has been swapped
				probes = slices.DeleteFunc(probes, func(p Probe) bool { return p.Subject != Memfd || p.Needs.Alone })
			}
			for _, r := range runAll(t, Config{Probes: probes, sabotage: how}).Probes {
				if r.Outcome != Unknown || r.Reason == nil {
					t.Errorf("%s: %s with its controls %s", r.ID, r.Outcome, how)
					continue
				}
				for _, e := range r.Experiments {
					if e.Outcome != Unknown || e.Reason.Why != NoControl && e.Reason.Why != Ambiguous {
						t.Errorf("%s: %s on %s: %s (%v) with its controls %s", r.ID, e.Try, e.On, e.Outcome, e.Reason, how)
					}
				}
			}
		})
	}
}

// with adds probes of a test to the catalogue, here and in the processes that are started.
// Those find the same ones in init.
func init() {
	if os.Getenv("SAFEVMA_PROBE_TEST") == "" {
		return
	}
	attempt := func(do func(*trial)) func(*trial) { return do }
	good := func(t *trial, controls ...control[Answer]) {
		compare(t, experiment[Answer]{try: "echo", do: func(a Answer) Answer { return a }, on: "the subject",
			subject:  "EPERM",
			confirms: []Answer{"EPERM"}, refutes: []Answer{OK}, controls: controls})
	}
	passing := control[Answer]{"a control", OK, OK}
	extra = []Probe{
		{ID: "t-good", run: attempt(func(t *trial) { good(t, passing) })},
		{ID: "t-no-control", run: attempt(func(t *trial) { good(t) })},
		{ID: "t-blind", run: attempt(func(t *trial) { good(t, control[Answer]{"a control", "EPERM", "EPERM"}) })},
		{ID: "t-failed-control", run: attempt(func(t *trial) { good(t, passing, control[Answer]{"a control", "EIO", OK}) })},
		{ID: "t-other", run: attempt(func(t *trial) {
			compare(t, experiment[Answer]{try: "echo", do: func(a Answer) Answer { return a }, on: "the subject",
				subject:  "EIO",
				confirms: []Answer{"EPERM"}, refutes: []Answer{OK}, controls: []control[Answer]{passing}})
		})},
		{ID: "t-hangs", Needs: Needs{Limit: 300 * time.Millisecond, Folder: true}, run: attempt(func(t *trial) {
			good(t, passing)
			t.file("left", 1)
			time.Sleep(time.Minute)
		})},
		{ID: "t-hangs-with-child", Needs: Needs{Limit: 300 * time.Millisecond}, run: attempt(func(t *trial) {
			sleeper := t.startSleeper()
			t.note("child", "%d", sleeper)
			time.Sleep(time.Minute)
		})},
		{ID: "t-crashes", run: attempt(func(t *trial) {
			good(t, passing)
			sys.Bytes(noAddress, 1)[0] = 1
		})},
		{ID: "t-exits", run: attempt(func(t *trial) { os.Exit(0) })},
		{ID: "t-empty-zone", run: attempt(func(t *trial) {
			t.kernelReads(0xffff800000000000) // x86: set aside for hypervisors, nothing is mapped
			good(t, passing)
		})},
		{ID: "t-gives-back", run: attempt(func(t *trial) {
			t.counted(t.asks(sys.ProtNone, shared))
			if n := t.areasOf(commitSize); n > 0 {
				t.stop(Failed, "%d mappings are left", n)
			}
			good(t, passing)
		})},
		{ID: "t-memlock", Needs: Needs{SecretPages: 1}, run: attempt(func(t *trial) {
			t.must("RLIMIT_MEMLOCK", sys.SetLimit(sys.LimitMemlock, 0))
			if os.Geteuid() == 0 {
				t.must("another user", sys.BecomeUser(strangest))
			}
			t.must("giving up capabilities", sys.DropCapabilities())
			t.secretPages(1)
			good(t, passing)
		})},
		{ID: "t-areas", run: attempt(func(t *trial) {
			b := t.mapped(5, sys.ProtNone, private, nil)[pageSize : 4*pageSize]
			t.must("mprotect", sys.Mprotect(b, rw))
			before := t.areas(b)
			t.mapped(1, sys.ProtRead, shared, nil) // as if by the Go runtime
			same := t.areas(b) - before
			t.must("mprotect", sys.Mprotect(b[pageSize:2*pageSize], sys.ProtNone))
			if more := t.areas(b) - before; before != 1 || same != 0 || more != 2 {
				t.stop(Failed, "%d areas, %d more, %d more", before, same, more)
			}
			good(t, passing)
		})},
		{ID: "t-silent", run: attempt(func(t *trial) {})},
		{ID: "t-stops", run: attempt(func(t *trial) { good(t, passing); t.stop(Missing, "no such thing") })},
		{ID: "t-refuted", Requirement: "SV-LIN-01", Severity: "medium", Good: Confirmed, run: attempt(func(t *trial) {
			compare(t, experiment[Answer]{try: "echo", do: func(a Answer) Answer { return a }, on: "the subject",
				subject:  OK,
				confirms: []Answer{"EPERM"}, refutes: []Answer{OK},
				controls: []control[Answer]{{"a control", "EPERM", "EPERM"}}})
			good(t)
		})},
	}
}

// What goes wrong with a probe makes it unknown, with the reason.
func TestUnknown(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	want := map[string]Why{
		"t-no-control": NoControl, "t-blind": NoControl, "t-failed-control": NoControl, "t-other": Ambiguous,
		"t-hangs":            Hung,
		"t-hangs-with-child": Hung, "t-crashes": Crashed, "t-exits": Crashed, "t-silent": Crashed, "t-stops": Missing,
	}
	probes := []Probe{{ID: "t-good"}, {ID: "t-refuted", Requirement: "SV-LIN-01", Severity: "medium", Good: Confirmed},
		{ID: "no-such"}}
	for id := range want {
		p := Probe{ID: id}
		if strings.HasPrefix(id, "t-hangs") {
			p.Needs = Needs{Limit: 300 * time.Millisecond, Folder: id == "t-hangs"}
		}
		probes = append(probes, p)
	}
	want["no-such"] = Crashed
	for _, r := range runAll(t, Config{Probes: probes}).Probes {
		why, unknown := want[r.ID]
		switch {
		case r.ID == "t-good" && r.Outcome != Confirmed, r.ID == "t-refuted" && r.Outcome != Refuted:
			t.Errorf("%s: %s %v", r.ID, r.Outcome, r.Reason)
		case unknown && (r.Outcome != Unknown || r.Reason.Why != why):
			t.Errorf("%s: %s %+v, want unknown: %s", r.ID, r.Outcome, r.Reason, why)
		}
		if r.ID == "t-refuted" && (r.Verdict == nil || r.Verdict.Status != "broken" || r.Verdict.Validate() != nil) {
			t.Errorf("verdict %+v", r.Verdict)
		}
		if r.ID == "t-hangs-with-child" {
			pid := r.Notes[0].Value
			if _, err := os.Stat("/proc/" + pid); err == nil && !zombie(pid) {
				t.Errorf("process %s, which a probe started that was killed, lives", pid)
			}
		}
	}
}

func zombie(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ") || strings.Contains(string(text), ") X ")
}

// areasOf counts the own shared mappings with a size.
func (t *trial) areasOf(size uint64) int {
	n := 0
	var r vma.Reader
	p := t.own()
	defer p.Close()
	t.must("/proc/self/maps", r.Maps(p, func(v *vma.VMA) error {
		if v.Size() == size && v.Perm.Has(vma.PermShared) {
			n++
		}
		return nil
	}))
	return n
}

// startSleeper starts a process that does nothing until its standard input ends, or this
// process does.
func (t *trial) startSleeper() (pid int) {
	cmd := self(syscall.SysProcAttr{}, nil)
	in, err := cmd.StdinPipe()
	t.must("a pipe", err)
	t.must("a process", cmd.Start())
	t.kept = append(t.kept, in)
	return cmd.Process.Pid
}

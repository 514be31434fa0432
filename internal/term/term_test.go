package term

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

func shown(show func(*Writer)) string {
	var b bytes.Buffer
	w := NewWriter(&b, nil)
	show(w)
	return b.String()
}

func finding(pid int, name string) guarantee.Verdict {
	return guarantee.Verdict{Requirement: "SV-XDM-03", Rule: "wx-mapping", Status: guarantee.Broken, Severity: guarantee.High,
		Subject:     guarantee.Subject{Kind: guarantee.KindProcess, PID: pid, Name: name},
		Observation: guarantee.Observation{Source: "/proc/7/smaps", Raw: []string{"1000-2000 rwxp\nVmFlags: rd wr ex", "second", "third"}, Total: 9},
		Control:     guarantee.Control{Status: guarantee.ControlPassed, Detail: "seen"}, Message: "it is writable and executable", Remedy: "don't"}
}

func TestReport(t *testing.T) {
	var verdicts []guarantee.Verdict
	for pid := 1; pid <= 7; pid++ {
		verdicts = append(verdicts, finding(pid, "p"))
	}
	for pid := 8; pid <= 10; pid++ {
		v := finding(pid, "q")
		v.Status, v.Message = guarantee.Unknown, "permission denied"
		verdicts = append(verdicts, v)
	}
	r := &guarantee.Report{Verdicts: verdicts, Summary: guarantee.Summarize(verdicts)}
	r.Summary.Coverage = &guarantee.Coverage{Processes: 7, Denied: []guarantee.Missed{{PID: 8, Name: "q"}}}
	got := shown(func(w *Writer) { w.Report(r, ReportOptions{}) })
	for _, want := range []string{
		"BROKEN high  SV-XDM-03 wx-mapping", "p (pid 1): it is writable and executable", "    1000-2000 rwxp\n    VmFlags: rd wr ex\n",
		"… 7 more in /proc/7/smaps", "and 3 more: p (pid 5), p (pid 6), p (pid 7)", "→ don't",
		"q (pid 8), q (pid 9), q (pid 10): permission denied", "undecided: wx-mapping", "7 broken, 3 unknown, 0 hold", "1 not visible",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	verbose := shown(func(w *Writer) { w.Report(r, ReportOptions{Verbose: true}) })
	for _, want := range []string{"p (pid 7): it", "third", "control passed: seen"} {
		if !strings.Contains(verbose, want) {
			t.Errorf("verbose: no %q in\n%s", want, verbose)
		}
	}
}

// What is not a terminal gets no escapes, whatever a process calls itself.
func TestNoEscapes(t *testing.T) {
	evil := "\x1b]0;title\x07\x1b[31m\n\u009b"
	space := &audit.Space{Process: guarantee.Subject{Name: guarantee.Text(evil), PID: 1}, Rows: []audit.Row{
		{VMA: vma.VMA{Start: 0x1000, End: 0x3000, Perm: vma.PermRead | vma.PermWrite | vma.PermExec, Name: []byte(evil), Inode: 1, Flags: vma.FlagLocked | vma.FlagSealed, Mem: vma.Mem{Rss: 4096}}, Kind: rules.KindFile},
		{VMA: vma.VMA{Start: 1 << 40, End: 1<<40 + 1<<30}, Kind: rules.KindAnonymous},
	}}
	files := []*memfd.File{{Attributes: memfd.Attributes{Kind: memfd.Memfd, Name: evil}, Holders: []memfd.Holder{{Process: memfd.Process{Comm: evil}}}}}
	report := &guarantee.Report{Verdicts: []guarantee.Verdict{finding(1, guarantee.Text(evil))}}
	got := shown(func(w *Writer) {
		w.Space(space)
		w.Memfds(files)
		w.Report(report, ReportOptions{Verbose: true})
	})
	if i := strings.IndexAny(got, "\x1b\x07\u009b"); i >= 0 {
		t.Errorf("escape at %q", got[i:min(i+20, len(got))])
	}
	for _, want := range []string{"! writable and executable", "· no access", "│", "locked, sealed", "2 VMAs, 1 GiB mapped, 4 KiB resident"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 KiB", 1: "1 B", 4096: "4 KiB", 10 << 20: "10 MiB", 1 << 30: "1 GiB", 1000 << 20: "0.977 GiB", 1 << 47: "128 TiB", 1<<64 - 1: "16 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// An output that fails is an error, not a short report.
func TestWriteError(t *testing.T) {
	w := NewWriter(broken{}, nil)
	w.Report(&guarantee.Report{}, ReportOptions{})
	if w.Err() == nil {
		t.Error("no error")
	}
}

// Progress is for people: a file gets nothing.
func TestProgressIsSilent(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f, "reading")
	p.start = p.start.Add(-progressAfter)
	p.Step(1, 2)
	p.Done()
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

// A terminal gets long lines broken between words, below each other; a file gets them
// whole.
func TestText(t *testing.T) {
	v := finding(1, "p")
	v.Message, v.Remedy = "it is both writable and executable at once", strings.Repeat("reconsider ", 9)
	report := &guarantee.Report{Verdicts: []guarantee.Verdict{v}}
	narrow := shown(func(w *Writer) {
		w.columns = 30
		w.Report(report, ReportOptions{})
	})
	for _, want := range []string{"\n  p (pid 1): it is both\n    writable and executable at\n    once\n", "\n  → reconsider reconsider\n    reconsider reconsider\n"} {
		if !strings.Contains(narrow, want) {
			t.Errorf("no %q in\n%s", want, narrow)
		}
	}
	for _, want := range []string{v.Message + "\n", strings.TrimSpace(v.Remedy) + "\n"} {
		if whole := shown(func(w *Writer) { w.Report(report, ReportOptions{}) }); !strings.Contains(whole, want) {
			t.Errorf("no %q in\n%s", want, whole)
		}
	}
}

// A terminal is as wide as it says, down to what can be read.
func TestWidth(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminal:", err)
	}
	defer terminal.Close()
	for columns, want := range map[string]int{"0": widthUnknown, "5": 20, "20": 20, "21": 21, "300": 300} {
		stty := exec.Command("stty", "cols", columns)
		stty.Stdin = terminal
		if out, err := stty.CombinedOutput(); err != nil {
			t.Skipf("no stty: %v %s", err, out)
		}
		if got := NewWriter(terminal, nil).columns; got != want {
			t.Errorf("%s columns: %d, want %d", columns, got, want)
		}
	}
	if got := width(new(bytes.Buffer)); got != 0 {
		t.Errorf("no terminal has %d columns", got)
	}
}

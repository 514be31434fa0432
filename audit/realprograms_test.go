package audit_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// What the audit says of programs that people run is what a second reader of /proc
// sees, which shares no code with it: nothing more, nothing less.
func TestRealPrograms(t *testing.T) {
	check := findChecker(t)
	h := newRealHost(t)
	h.startAll(t)
	if len(h.started) == 0 {
		t.Skip("none of the programs is installed: install them with make deps")
	}
	t.Run("running", func(t *testing.T) {
		scope, declared := h.scope(t)
		r := check.audited(t, scope, declared, false)
		r.agrees(t)
		h.judged(t, r.report)
	})
	// Stopped programs change nothing, so that every single mapping is compared.
	t.Run("stopped", func(t *testing.T) {
		thaw := freeze(t)
		scope, declared := h.scope(t)
		r := check.audited(t, scope, declared, true)
		thaw()
		t.Log(r.agrees(t))
		r.rejectsDoctored(t)
	})
}

// startAll starts all programs at once. Those that are not installed are skipped in
// subtests of their names.
func (h *realHost) startAll(t *testing.T) {
	t.Helper()
	all := realPrograms()
	paths, absent, failed := make([]string, len(all)), make([]error, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		if paths[i], absent[i] = p.find(); absent[i] == nil {
			wg.Go(func() { failed[i] = p.start(h, paths[i]) })
		}
	}
	wg.Wait()
	for i, p := range all {
		t.Run("start/"+p.name, func(t *testing.T) {
			if absent[i] != nil {
				t.Skipf("%v: install it with make deps", absent[i])
			}
			if failed[i] != nil {
				t.Error(failed[i])
			}
		})
	}
	if t.Failed() {
		t.FailNow()
	}
}

// scope returns the processes of all programs, and those of them that are declared.
func (h *realHost) scope(t *testing.T) (scope, declared []int) {
	t.Helper()
	for _, info := range living(t) {
		scope = append(scope, info.PID)
	}
	for _, r := range h.started {
		if r.declared {
			declared = append(declared, r.cmd.Process.Pid)
		}
	}
	return scope, declared
}

// judged checks that each program was looked at, and read.
func (h *realHost) judged(t *testing.T, report *guarantee.Report) {
	t.Helper()
	for _, r := range h.started {
		if !slices.ContainsFunc(report.Verdicts, func(v guarantee.Verdict) bool {
			return v.Rule == "wx-mapping" && v.Subject.PID == r.cmd.Process.Pid && v.Status != guarantee.Unknown
		}) {
			t.Errorf("no verdict on %s", r.argv[0])
		}
	}
}

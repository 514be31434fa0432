package lab

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab/feature"
	"github.com/safevma/safevma/lab/machine"
)

// fakeT notes what becomes of a test, and ends its goroutine as a test does.
type fakeT struct {
	skipped, failed string
	cleanups        []func()
}

func (f *fakeT) Helper()           {}
func (f *fakeT) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *fakeT) Skipf(format string, args ...any) {
	f.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// do runs something as a test, and reports whether it came to its end.
func (f *fakeT) do(test func()) (ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, fn := range slices.Backward(f.cleanups) {
				fn()
			}
		}()
		test()
		ended = true
	}()
	<-done
	return ended
}

// The whole table: where the test runs, who runs it, what is expected, and what the
// probe answers.
func TestDecide(t *testing.T) {
	const any = ""
	plain := feature.Feature{Name: "plain", Title: "a title"}
	privileged := feature.Feature{Name: "privileged", Title: "a title", Privileged: true}
	risky := feature.Feature{Name: "risky", Title: "a title", Risk: "it breaks things", Privileged: true}
	const present, absent, unknown = feature.Present, feature.Absent, feature.Unknown
	tests := []struct {
		f         feature.Feature
		inside    bool
		superuser bool
		expected  bool
		answer    feature.Answer // any: it must not be probed
		want      decision
		says      string
	}{
		{plain, false, true, false, present, run, ""},
		{plain, false, true, false, absent, skip, "absent here: seen"},
		{plain, false, true, false, unknown, skip, "unknown here: seen"},
		{plain, false, false, false, present, run, ""},
		{plain, false, false, false, absent, skip, "absent"},
		{plain, false, false, false, unknown, skip, "unknown"},

		{privileged, false, true, false, present, run, ""},
		{privileged, false, true, false, absent, skip, "absent"},
		{privileged, false, false, false, any, skip, "superuser"},
		{risky, false, true, false, any, skip, "in the lab alone: it breaks things"},
		{risky, false, false, false, any, skip, "in the lab alone: it breaks things"},

		{plain, true, true, true, present, run, ""},
		{plain, true, true, true, absent, fail, "should be there: the reason"},
		{plain, true, true, true, unknown, fail, "should be there: the reason"},
		{plain, true, true, false, present, run, ""},
		{plain, true, true, false, absent, skip, "not to be expected: the reason"},
		{plain, true, true, false, unknown, skip, "not to be expected: the reason"},
		{plain, true, false, true, present, run, ""},
		{plain, true, false, true, absent, fail, "should be there"},
		{plain, true, false, true, unknown, fail, "should be there"},

		{risky, true, true, true, present, run, ""},
		{risky, true, true, true, absent, fail, "should be there"},
		{risky, true, true, true, unknown, fail, "should be there"},
		{risky, true, true, false, absent, skip, "not to be expected"},
		{risky, true, false, true, any, skip, "superuser"},
		{risky, true, false, false, any, skip, "superuser"},
	}
	for _, tt := range tests {
		probes := 0
		c := circumstances{inside: tt.inside, superuser: tt.superuser, expected: tt.expected, reason: "the reason"}
		got, message := decide(tt.f, c, func() feature.Result {
			probes++
			return feature.Result{Answer: tt.answer, Observed: "seen"}
		})
		if got != tt.want || !strings.Contains(message, tt.says) || (message == "") != (got == run) {
			t.Errorf("%s, %+v, %s: %d %q; want %d %q", tt.f.Name, c, tt.answer, got, message, tt.want, tt.says)
		}
		if want := tt.answer != any; (probes == 1) != want || probes > 1 {
			t.Errorf("%s, %+v: %d probes", tt.f.Name, c, probes)
		}
	}
}

// Each feature, required for real: the test goes on exactly where the probe says so.
func TestRequire(t *testing.T) {
	for _, f := range feature.All() {
		var fake fakeT
		ended := fake.do(func() { Require(&fake, f.Name) })
		if ended != (fake.skipped == "" && fake.failed == "") {
			t.Errorf("%s: ended %t, skipped %q, failed %q", f.Name, ended, fake.skipped, fake.failed)
		}
		if fake.failed != "" {
			t.Error(fake.failed)
		}
		t.Logf("%s: %t %s", f.Name, ended, fake.skipped)
		if _, inside, _ := machine.Here(); f.LabOnly() && !inside && ended {
			t.Errorf("%s outside the lab", f.Name)
		}
		if r := f.Probe(); ended != (r.Answer == feature.Present) && (os.Geteuid() == 0 || !f.Privileged) {
			t.Errorf("the test goes on: %t; the probe: %+v", ended, r)
		}
	}
}

func TestRequireUnknownName(t *testing.T) {
	var fake fakeT
	if fake.do(func() { Require(&fake, "map-sink") }) || !strings.Contains(fake.failed, "map-sync") {
		t.Errorf("%+v: want a failure that names what there is", fake)
	}
}

// A feature is probed once, however many tests need it.
func TestProbedOnce(t *testing.T) {
	f, _ := feature.Find("mseal")
	if a, b := probed(f), probed(f); a != b {
		t.Errorf("%+v, then %+v", a, b)
	}
	results.Lock()
	defer results.Unlock()
	if results.once[f.Name] == nil {
		t.Error("it is not remembered")
	}
}

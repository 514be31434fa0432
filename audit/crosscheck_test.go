package audit_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/offender/offendertest"
)

// tooLarge has so many mappings that reading it in Python takes longer than all others.
const tooLarge = "many-vmas"

// All offenders and twins at once: the checker agrees with the report on each, and
// notices for each rule when a finding is removed or invented.
func TestCheckerOnOffenders(t *testing.T) {
	check := findChecker(t)
	var scope, declared []int
	var must []string
	for _, spec := range offender.List() {
		if spec.Trigger != "" || spec.Name == tooLarge {
			continue
		}
		pids := startOne(t, spec.Name)
		if len(pids) > 0 {
			must = append(must, append(spec.Also, spec.Rule)...)
		}
		for _, twin := range spec.Twins {
			pids = append(pids, startOne(t, twin.Name)...)
		}
		scope = append(scope, pids...)
		if spec.Declared {
			declared = append(declared, pids...)
		}
	}
	thaw := freeze(t)
	r := check.audited(t, scope, declared, true)
	thaw()
	r.agrees(t)
	removed := r.rejectsDoctored(t)
	for _, rule := range must {
		if slices.Contains(checkedRules, rule) && !slices.Contains(removed, rule) {
			t.Errorf("rule %s has no finding that the checker was tried with", rule)
		}
	}
}

// skipped notes why an offender can't be committed here, in place of skipping the test.
type skipped struct {
	testing.TB
	why string
}

func (s *skipped) Skip(args ...any) {
	s.why = fmt.Sprint(args...)
	runtime.Goexit()
}

// startOne starts an offender or a twin, and returns its processes: none where it can't
// be committed here.
func startOne(t *testing.T, name string) (pids []int) {
	t.Helper()
	s := &skipped{TB: t}
	done := make(chan struct{})
	go func() { // ends early where it is skipped
		defer close(done)
		pids = offendertest.Start(s, name).PIDs
	}()
	<-done
	if s.why != "" {
		t.Logf("%s: %s", name, s.why)
	}
	return pids
}

// Package corpus holds bugs, one small structure for each class of them, each with a twin
// that does it right: what package crash must catch, and what it must not. They are examples
// for users as well: each shows one mistake and nothing else.
//
// A broken variant that is not caught, or is for another reason, and a twin that is, fail the
// tests; so does each case with a checker made blind, or a workload that does nothing. What
// the run found stands in docs/crash-corpus.md, which is made from it.
//
// The line that makes the difference says "mends it". Most cases are a toy, a few words on a
// medium: see toy.go.
package corpus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// Case is a class of bugs.
type Case struct {
	// Class is the name of it.
	Class string
	// Description says what the broken variant does wrong, and what comes of it.
	Description string
	// Model is the one under which it shows: ADR, if there is none. The twin holds under it, and
	// under Also.
	Model state.Model
	Also  []state.Model
	// Instance is where it was seen, if that was published.
	Instance string
	// Lint is the kind of lint that shows it, for waste; otherwise it is a state that does not
	// recover.
	Lint string
	// Want is what the failure is, if something special.
	Want error
	// Shows is the state that recovery finds in the counterexample, if the states decide.
	Shows string
	// Nested says that it takes a second failure, in recovery.
	Nested bool
	// FailSyncs lets syncs fail: see [crash.Config].
	FailSyncs int
	// Explore explores a variant of it.
	Explore exploring
}

// Variant is what is explored of a case.
type Variant int

const (
	// Broken has the bug.
	Broken Variant = iota
	// Twin does it right.
	Twin
	// Blind has the bug and a checker that sees nothing: a negative control.
	Blind
	// BlindTwin is the same without the bug.
	BlindTwin
	// Idle does nothing: a negative control.
	Idle
)

type exploring func(context.Context, crash.Config, Variant) (*crash.Report, error)

// explore makes the Explore of a case from its workload.
func explore[S any](w func(broken bool) crash.Workload[S]) exploring {
	return func(ctx context.Context, cfg crash.Config, v Variant) (*crash.Report, error) {
		w := w(v == Broken || v == Blind)
		switch v {
		case Blind, BlindTwin:
			w.Dump, w.Check, w.Model = func(S) (string, error) { return "fine", nil }, nil, blind{w.Model}.orNil()
		case Idle:
			w.Run = func(*crash.Ops[S]) error { return nil }
		}
		return crash.Explore(ctx, cfg, w)
	}
}

// blind is a model that shows nothing.
type blind struct{ crash.Model }

func (b blind) Clone() crash.Model { return blind{b.Model.Clone()} }
func (b blind) String() string     { return "fine" }

func (b blind) orNil() crash.Model {
	if b.Model == nil {
		return nil
	}
	return b
}

// Cases lists all classes.
func Cases() []Case {
	return []Case{
		missingFlush, missingFence, wrongOrder, partialFlush, waste, wasteClean, wasteFence,
		unlogged, logAfterStore, logDedup, recoveryInverted, recoveryMissing, recoveryTwice,
		oneLine, wideStore, acrossLines, streamed, early, lockWord, pointer,
		tornRecord, tornSequence, tornLength, stale, laterFirst, tailEarly, reused, chains,
		superTorn, superSame, wholeFile, onePage, size, created, failedSync,
		leak, dangling, doubleFree, commitFull, freeFull, scrubbed, residueHeap, residueLog, residueReplica,
		replicaAhead, replicaApart, labelOld, unlocked, twoAppliers, halfSeen, bypass, split, merge, resize,
	}
}

var (
	// ErrMissed reports a broken variant that was not caught.
	ErrMissed = errors.New("the bug was not caught")
	// ErrAlarm reports a twin that was.
	ErrAlarm = errors.New("a false alarm")
	// ErrIdle reports a twin that was not explored, or not completely.
	ErrIdle = errors.New("too little was explored")
)

// Verdict is what became of a case.
type Verdict struct {
	Case    Case
	Failure *crash.Failure // of the broken variant; nil for lints
	Broken  *crash.Report
	Twin    *crash.Report
}

// Try explores the broken variant and its twin.
func (c Case) Try(ctx context.Context) (*Verdict, error) {
	if c.Model == (state.Model{}) {
		c.Model, c.Also = crash.ADR, all
	}
	v := &Verdict{Case: c}
	cfg := crash.Config{Name: c.Class, Models: append([]state.Model{c.Model}, c.Also...), StrictLints: c.Lint != "", FailSyncs: c.FailSyncs}
	var err error
	if v.Twin, err = c.Explore(ctx, cfg, Twin); err != nil {
		return v, fmt.Errorf("%s: %w: %w", c.Class, ErrAlarm, err)
	}
	cfg.Models = cfg.Models[:1]
	v.Broken, err = c.Explore(ctx, cfg, Broken)
	if err == nil {
		return v, fmt.Errorf("%s: %w", c.Class, ErrMissed)
	}
	if !errors.As(err, &v.Failure) || !v.right(err) {
		return v, fmt.Errorf("%s: %w, but something else: %w", c.Class, ErrMissed, err)
	}
	return v, v.explored()
}

// right reports whether the failure is the one that the case is about.
func (v *Verdict) right(err error) bool {
	c := v.Case
	switch {
	case c.Nested != v.Failure.Nested:
		return false
	case c.Lint != "":
		return v.linted()
	case c.Want != nil:
		return errors.Is(err, c.Want)
	}
	return c.Shows != "" && strings.Contains(v.Failure.Message, "recovered: "+c.Shows+"\n")
}

// leastImages is how many the twin of the smallest case has under its first model.
const leastImages = 4

// explored looks whether the twin was explored, and completely.
func (v *Verdict) explored() error {
	if len(v.Twin.Models) == 0 {
		return fmt.Errorf("%s: %w: no model", v.Case.Class, ErrIdle)
	}
	for i, m := range v.Twin.Models {
		n, err := strconv.Atoi(m.ImagesChecked)
		if err != nil || n < leastImages || !m.Complete() || i == 0 && m.Controls == 0 {
			return fmt.Errorf("%s: %w: %s images of %s under %v", v.Case.Class, ErrIdle, m.ImagesChecked, m.Images, m.Model)
		}
	}
	return nil
}

// linted reports whether the lint that the class is about was found.
func (v *Verdict) linted() bool {
	for _, l := range v.Broken.Models[0].Lints {
		if l.Kind == v.Case.Lint {
			return true
		}
	}
	return false
}

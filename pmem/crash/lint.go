package crash

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/safevma/safevma/pmem/crash/state"
)

// ErrLint reports lints where the configuration forbids them.
var ErrLint = errors.New("lint")

// Lint is something that costs time, or is not where it belongs; no state is wrong for it.
type Lint struct {
	Kind  string `json:"kind"`  // see the constants
	Place string `json:"place"` // file and line
	Times int    `json:"times"`
}

func (l Lint) String() string { return fmt.Sprintf("%s at %s (%d times)", l.Kind, l.Place, l.Times) }

// Kinds of lints.
const (
	LintCleanFlush     = "flush of a clean line"
	LintRedundantFlush = "redundant flush"
	LintIdleFence      = "fence with nothing pending"
	LintIdleSync       = "sync with nothing pending"
	LintWrongClass     = "store of the wrong class"
	LintVolatile       = "store of something else in each run"
)

// linter looks at each event before it is applied.
type linter struct {
	model   state.Model
	regions []Region
	found   map[[2]string]int
	busy    map[int]bool // syncs that have something to do
}

func newLinter(model state.Model, regions []Region) *linter {
	return &linter{model: model, regions: regions, found: map[[2]string]int{}, busy: map[int]bool{}}
}

func (l *linter) event(e *Event, st *state.State) {
	if len(e.Data) > 0 {
		l.class(e)
	}
	switch adr := l.model.Domain == state.ADR; {
	case adr && e.Kind == state.Flush:
		dirty, marked := st.Pending(e.Thread, e.Off, e.Len)
		if !dirty {
			l.say(LintCleanFlush, e)
		} else if marked {
			l.say(LintRedundantFlush, e)
		}
	case adr && e.Kind == state.Fence && !st.Awaited(e.Thread):
		l.say(LintIdleFence, e)
	case e.Kind == state.SyncBegin && st.Waits(e.Off, e.Len):
		l.busy[e.ID] = true
	case e.Kind == state.SyncEnd && l.model.Domain == state.PageCache && !l.busy[e.ID]:
		l.say(LintIdleSync, e)
	}
}

// class looks whether a store belongs where it goes.
func (l *linter) class(e *Event) {
	for _, r := range l.regions {
		if e.Off < r.Off+r.Len && e.Off+int64(len(e.Data)) > r.Off && !slices.Contains(r.Classes, e.Class) {
			l.say(LintWrongClass+" in "+r.Name, e)
		}
	}
}

func (l *linter) say(kind string, e *Event) { l.found[[2]string{kind, place(e.PCs)}]++ }

func (l *linter) list() []Lint {
	var all []Lint
	for key, n := range l.found {
		all = append(all, Lint{key[0], key[1], n})
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].Kind+all[i].Place < all[j].Kind+all[j].Place
	})
	return all
}

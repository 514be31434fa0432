package crash

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

var (
	// ErrNothingChecked reports an exploration that checked nothing: a workload that did
	// nothing, or whose crash points had no image.
	ErrNothingChecked = errors.New("nothing was checked")
	// ErrNotDeterministic reports a recovery that does different things for equal images, or
	// that depends on what it did not read through the medium.
	ErrNotDeterministic = errors.New("recovery is not deterministic, or reads past the medium")
	// ErrBlind reports checks that accept what they must refuse.
	ErrBlind = errors.New("the checks are blind")
)

// errBudget ends a complete visit that costs too much.
var errBudget = errors.New("more recoveries than allowed")

// errCold starts a crash point again: a recovery wrote where nothing was written before, so
// that reads of that place must be recorded from now on.
var errCold = errors.New("recovery writes elsewhere")

// Explore runs the workload and recovers what a failure may leave of it. The error is a
// [*Failure] where a state does not recover as it should; other errors say why nothing can
// be said. The report is filled as far as exploration came.
func Explore[S any](ctx context.Context, cfg Config, w Workload[S]) (*Report, error) {
	u, err := w.untyped()
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	for _, m := range cfg.Models {
		if err := m.Validate(); err != nil {
			return nil, err
		}
	}
	report := newReport(cfg)
	start := time.Now()
	for _, model := range cfg.Models {
		if err = exploreModel(ctx, cfg, u, model, report); err != nil {
			break
		}
	}
	report.Seconds = time.Since(start).Seconds()
	var failure *Failure
	if errors.As(err, &failure) {
		report.Failure = failure
	}
	report.finish(err)
	return report, err
}

// exploreModel explores all schedules under one model.
func exploreModel(ctx context.Context, cfg Config, w *workload, model state.Model, report *Report) error {
	e := newExplorer(ctx, cfg, w, model)
	report.Models = append(report.Models, e.report)
	defer e.close()
	seen := map[uint64]bool{}
	seed := maphash.MakeSeed()
	for i := range cfg.Schedules {
		t, err := record(w, model, how{seed: cfg.Seed + uint64(i)})
		if err != nil {
			return e.misuse(t, err)
		}
		if e.report.SchedulesTried++; seen[t.sum(seed)] {
			continue
		}
		seen[t.sum(seed)] = true
		if e.whole == nil {
			e.whole = t
			if err := e.twice(); err != nil {
				return err
			}
		}
		if err := e.trace(t, i); err != nil {
			return err
		}
		if t.goroutines == 0 {
			break
		}
	}
	if err := e.failSyncs(); err != nil {
		return err
	}
	if err := e.liveOn(); err != nil { // of the traces in which a sync failed too
		return err
	}
	return e.vacuous()
}

// failSyncs explores the traces in which a sync fails, each in turn, until one has no more; and those
// in which a later one fails too, where that is asked for.
func (e *explorer) failSyncs() error {
	for i := 1; i <= e.cfg.FailSyncs; i++ {
		more, err := e.failing(i)
		if err != nil || !more {
			return err
		}
		e.report.SyncsFailed++
		for j := i + 1; e.cfg.FailPairs && more && j <= e.cfg.FailSyncs; j++ {
			if more, err = e.failing(i, j); err != nil {
				return err
			}
			if more {
				e.report.PairsFailed++
			}
		}
	}
	return nil
}

// failing explores a trace in which some syncs fail, and reports whether it has so many.
func (e *explorer) failing(syncs ...int) (bool, error) {
	t, err := record(e.w, e.model, how{seed: e.cfg.Seed, failing: syncs, known: e.whole})
	if err != nil {
		return false, e.misuse(t, err)
	}
	if t.failed() < len(syncs) {
		return false, nil
	}
	if t.created == len(t.events) { // whole or not: as the creation that did not fail
		t.events[0].note.legal = e.whole.events[0].note.legal
	}
	return true, e.trace(t, 0)
}

// explorer explores the traces of one workload under one model.
type explorer struct {
	ctx      context.Context
	cfg      Config
	w        *workload
	model    state.Model
	prober   *prober
	tree     decision.Tree[*outcome]
	deeper   decision.Tree[*outcome] // of recoveries after a crash in recovery
	random   *rand.Rand
	report   *ModelReport
	start    time.Time
	whole    *trace  // in which no sync failed
	lives    []*life // to be lived on
	volatile []Lint
	told     time.Time

	// of one trace
	t        *trace
	schedule int
	st       *state.State
	census   *state.Census
	legal    *legal
	canaries []canary
	at       int  // event
	created  bool // the structure, as far as the trace has come
	fresh    bool // something to look at since the last crash point
	turned   bool // the oracle of the event at hand has changed
	stacks   map[string]bool
	lints    *linter

	// of one crash point
	spent   int // recoveries
	second  int // recoveries after a crash in recovery
	scratch []byte
	leaves  int
	tally   tally
}

// tally is what one crash point adds to the report, once it is through.
type tally struct {
	states, checked             *big.Int
	nestedStates, nestedChecked *big.Int
	nestedPoints                int
	sampled                     bool
}

func newTally() tally {
	return tally{states: new(big.Int), checked: new(big.Int), nestedStates: new(big.Int), nestedChecked: new(big.Int)}
}

func newExplorer(ctx context.Context, cfg Config, w *workload, model state.Model) *explorer {
	now := time.Now()
	e := &explorer{
		ctx: ctx, cfg: cfg, w: w, model: model, prober: newProber(w, model), start: now, told: now,
		random: rand.New(rand.NewPCG(cfg.Seed, 0xc4a54)), report: newModelReport(model), stacks: map[string]bool{},
	}
	e.tree.Size, e.deeper.Size = (*outcome).size, (*outcome).size
	e.prober.keep = !cfg.Shallow || cfg.Restart
	e.scratch = make([]byte, w.most+attributes)
	return e
}

func (e *explorer) close() { e.prober.close() }

// trace explores one run of the workload.
func (e *explorer) trace(t *trace, schedule int) error {
	e.schedule = schedule
	if err := e.begin(t); err != nil {
		return err
	}
	defer func() { e.report.trace(t, e.census, e.lints) }()
	if err := e.control(); err != nil {
		return err
	}
	if err := e.replay(); err != nil {
		return err
	}
	if err := e.damage(); err != nil {
		return err
	}
	if all := append(e.lints.list(), e.volatile...); e.cfg.StrictLints && len(all) > 0 {
		return e.fail(fmt.Errorf("%w: %s", ErrLint, all[0]), nil)
	}
	return nil
}

// begin stands at the begin of a trace.
func (e *explorer) begin(t *trace) (err error) {
	if e.st, err = state.New(e.model, slices.Clone(t.initial)); err != nil {
		return err
	}
	e.t, e.at = t, 0
	e.census = state.NewCensus(e.model, state.Mixed(e.model, plain(t.events)))
	e.legal, e.canaries, e.created, e.fresh = &legal{absent: true}, nil, false, false
	e.lints = newLinter(e.model, e.w.regions)
	e.prober.warm(t.events)
	e.forget()
	return nil
}

// replay goes through the events and stops at each crash point.
func (e *explorer) replay() error {
	for e.at = range e.t.events {
		if err := e.event(&e.t.events[e.at]); err != nil {
			return err
		}
	}
	return e.point()
}

func plain(events []Event) []state.Event {
	all := make([]state.Event, len(events))
	for i := range events {
		all[i] = events[i].Event
	}
	return all
}

// settles reports an event that may make something durable: the moment before it has all
// images of the moments since the last one, and more.
func settles(k state.Kind) bool {
	return k == state.Fence || k == state.SyncEnd || k == state.SyncFail
}

func (e *explorer) event(ev *Event) error {
	if settles(ev.Kind) {
		if err := e.point(); err != nil {
			return err
		}
	}
	if ev.note != nil {
		return e.turn(ev.note)
	}
	e.lints.event(ev, e.st)
	e.census.Observe(ev.Event, e.st)
	stores := len(ev.Data) > 0
	err := e.st.Apply(ev.Event, func() error {
		err := e.point()
		e.fresh = true
		return err
	})
	e.fresh = e.fresh || stores
	if errors.Is(err, state.ErrMixed) {
		return e.fail(err, nil)
	}
	return err
}

// turn is a moment at which the oracle changes.
func (e *explorer) turn(n *note) error {
	if err := e.point(); err != nil {
		return err
	}
	e.legal = n.legal
	e.created = e.created || e.at == e.t.created
	e.canaries = append(e.canaries, n.erased...)
	e.fresh = e.fresh || n.moment == acknowledged
	e.turned = true
	defer func() { e.turned = false }()
	return e.point()
}

// visited reports whether the quick mode has been at a crash point like this. Before and after
// an acknowledgement are two, though one place makes both.
func (e *explorer) visited() bool {
	if !e.cfg.Quick {
		return false
	}
	ev := &e.t.events[e.at]
	key := fmt.Sprint(ev.Kind, ev.note != nil, e.turned, places(ev.PCs))
	if e.stacks[key] {
		e.report.PointsSkipped++
		return true
	}
	e.stacks[key] = true
	return false
}

// point explores the images that a failure may leave now.
func (e *explorer) point() error {
	if !e.fresh || e.w.absent == nil && !e.created {
		return nil
	}
	e.fresh = false
	if err := e.ctx.Err(); err != nil {
		return err
	}
	cells := e.st.Cells()
	found := e.census.Add(e.st)
	if e.visited() {
		return nil
	}
	if err := e.residue(cells); err != nil {
		return err
	}
	box := decision.Box{Base: e.st.Base(), Layers: [][]*state.Cell{cells}}
	if e.cfg.Unpruned {
		e.forget()
	}
	lives, livesFound := slices.Clone(e.lives), e.report.LivesFound
	for {
		e.tally = newTally()
		e.spent, e.second = 0, 0
		err := e.visit(box)
		if err == nil && e.cfg.Restart {
			err = e.restart()
		}
		if !errors.Is(err, errCold) {
			e.report.point(e.tally, found)
			e.progress()
			return err
		}
		e.lives, e.report.LivesFound = slices.Clone(lives), livesFound
		e.heat()
	}
}

// heat takes in where recoveries write.
func (e *explorer) heat() {
	for _, b := range e.prober.cold {
		e.prober.hot[b] = true
	}
	e.forget()
}

func (e *explorer) forget() {
	e.tree.Forget()
	e.deeper.Forget()
}

// residue looks for erased secrets in all images.
func (e *explorer) residue(cells []*state.Cell) error {
	for _, c := range e.canaries {
		if off, found := c.find(e.st.Base(), cells); found {
			return e.fail(fmt.Errorf("%w: at %d, stored last by %s", ErrResidue, off, e.storedBy(off)), nil)
		}
	}
	e.report.CanarySearches += len(e.canaries)
	return nil
}

// misuse makes errors of a run that are findings failures.
func (e *explorer) misuse(t *trace, err error) error {
	if t == nil {
		return err
	}
	e.t, e.at = t, max(0, len(t.events)-1)
	for _, finding := range []error{ErrBypassed, ErrDeadlock, ErrOrder} {
		if errors.Is(err, finding) {
			return e.fail(err, nil)
		}
	}
	return err
}

// vacuous reports an exploration that checked nothing.
func (e *explorer) vacuous() error {
	var missing []string
	if e.report.Operations == 0 {
		missing = append(missing, "no operation ran")
	}
	if e.report.Stores == 0 {
		missing = append(missing, "nothing was stored")
	}
	if e.report.CrashPoints == 0 || e.report.Recoveries == 0 {
		missing = append(missing, "no image was recovered")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%v: %w: %s", e.model, ErrNothingChecked, strings.Join(missing, ", "))
}

// progress tells where the exploration stands, once a second.
func (e *explorer) progress() {
	if e.cfg.Progress == nil || e.report.Recoveries&63 != 0 && e.report.CrashPoints&63 != 0 {
		return
	}
	now := time.Now()
	if now.Sub(e.told) < time.Second {
		return
	}
	e.told = now
	e.cfg.Progress(Progress{
		Model: e.model, Schedule: e.schedule, Event: e.at, Events: len(e.t.events), Points: e.report.CrashPoints,
		States: e.report.checked.String(), Recoveries: e.report.Recoveries, Elapsed: now.Sub(e.start),
	})
	runtime.Gosched()
}

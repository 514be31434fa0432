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
		t, err := record(w, model, cfg.Seed+uint64(i))
		if err != nil {
			return e.misuse(t, err)
		}
		if e.report.SchedulesTried++; seen[t.sum(seed)] {
			continue
		}
		seen[t.sum(seed)] = true
		if e.whole == nil {
			e.whole = t
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
	return e.vacuous()
}

// failSyncs explores the traces in which a sync fails, each in turn, until one has no more.
func (e *explorer) failSyncs() error {
	for i := 1; i <= e.cfg.FailSyncs; i++ {
		t, err := recordFailing(e.w, e.model, e.cfg.Seed, i, e.whole)
		if err != nil {
			return e.misuse(t, err)
		}
		if !t.failed() {
			return nil
		}
		if t.created == len(t.events) { // whole or not: as the creation that did not fail
			t.events[0].note.legal = e.whole.events[0].note.legal
		}
		e.report.SyncsFailed++
		if err := e.trace(t, 0); err != nil {
			return err
		}
	}
	return nil
}

// explorer explores the traces of one workload under one model.
type explorer struct {
	ctx    context.Context
	cfg    Config
	w      *workload
	model  state.Model
	prober *prober
	tree   decision.Tree[*outcome]
	deeper decision.Tree[*outcome] // of recoveries after a crash in recovery
	random *rand.Rand
	report *ModelReport
	start  time.Time
	whole  *trace // in which no sync failed
	told   time.Time

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
func (e *explorer) trace(t *trace, schedule int) (err error) {
	if e.st, err = state.New(e.model, slices.Clone(t.initial)); err != nil {
		return err
	}
	e.t, e.schedule = t, schedule
	e.census = state.NewCensus(e.model, state.Mixed(e.model, plain(t.events)))
	e.legal, e.canaries, e.created, e.fresh = &legal{absent: true}, nil, false, false
	e.lints = newLinter(e.model, e.w.regions)
	e.prober.warm(t.events)
	e.forget()
	defer func() { e.report.trace(t, e.census, e.lints) }()
	if err := e.control(); err != nil {
		return err
	}
	for e.at = range t.events {
		if err := e.event(&t.events[e.at]); err != nil {
			return err
		}
	}
	if err := e.point(); err != nil {
		return err
	}
	if err := e.damage(); err != nil {
		return err
	}
	if all := e.lints.list(); e.cfg.StrictLints && len(all) > 0 {
		return e.fail(fmt.Errorf("%w: %s", ErrLint, all[0]), nil)
	}
	return nil
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
	return e.point()
}

// visited reports whether the quick mode has been at a crash point like this.
func (e *explorer) visited() bool {
	if !e.cfg.Quick {
		return false
	}
	ev := &e.t.events[e.at]
	key := fmt.Sprint(ev.Kind, ev.note != nil, places(ev.PCs))
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
	for {
		e.tally = newTally()
		e.spent, e.second = 0, 0
		err := e.visit(box)
		if err == nil && e.cfg.Restart {
			err = e.restart()
		}
		if !errors.Is(err, errCold) {
			e.report.point(e.tally, found, e.cfg.Quick)
			e.progress()
			return err
		}
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

// visit walks through the images of a crash point.
func (e *explorer) visit(box decision.Box) error {
	total := state.Product(box.Layers[0])
	e.tally.states.Set(total)
	walk := e.tree.Walk(box, decision.Visitor[*outcome]{
		Run:      func(picks []int) ([]decision.Read, *outcome, error) { return e.recover(box, picks) },
		Leaf:     func(o *outcome, versions [][]int) error { return e.leaf(box, o, versions) },
		MaxBytes: int(e.cfg.Memory / 2),
	})
	err := walk.All()
	if errors.Is(err, errBudget) {
		e.tally.sampled = true
		err = e.sample(box, walk)
	}
	return e.explain(err)
}

// explain makes an error of the tree one of this package.
func (e *explorer) explain(err error) error {
	if errors.Is(err, decision.ErrPath) {
		return fmt.Errorf("%w: %w", ErrNotDeterministic, err)
	}
	return err
}

// sample tries the images that differ in one cell from all or from nothing durable, and then
// some at random.
func (e *explorer) sample(box decision.Box, walk *decision.Walk[*outcome]) error {
	e.spent = -e.cfg.Samples - 2*len(box.Cells())
	for _, picks := range corners(box) {
		if _, err := walk.One(picks); err != nil {
			return ignoreBudget(err)
		}
	}
	for range e.cfg.Samples {
		if ok, err := walk.One(box.Random(e.random)); err != nil || !ok {
			return ignoreBudget(err)
		}
	}
	return nil
}

func ignoreBudget(err error) error {
	if errors.Is(err, errBudget) {
		return nil
	}
	return err
}

// corners are all, nothing, all but one cell, and one cell alone.
func corners(box decision.Box) [][]int {
	cells := box.Cells()
	none, all := make([]int, len(cells)), make([]int, len(cells))
	for i, c := range cells {
		all[i] = len(c.Versions) - 1
	}
	corners := [][]int{none, all}
	for i := range cells {
		one, but := slices.Clone(none), slices.Clone(all)
		one[i], but[i] = all[i], none[i]
		corners = append(corners, one, but)
	}
	return corners
}

// recover runs a recovery, on its account.
func (e *explorer) recover(box decision.Box, picks []int) ([]decision.Read, *outcome, error) {
	if e.spent++; e.spent > e.cfg.Recoveries {
		return nil, nil, errBudget
	}
	return e.probe(box, picks)
}

// probe runs a recovery.
func (e *explorer) probe(box decision.Box, picks []int) ([]decision.Read, *outcome, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, nil, err
	}
	e.progress()
	path, o := e.prober.run(box, picks)
	if len(e.prober.cold) > 0 && e.prober.keep {
		return nil, nil, errCold
	}
	e.report.Recoveries++
	if e.report.Recoveries&(e.report.Recoveries-1) == 0 { // the first, 2nd, 4th, 8th …
		again, twin := e.prober.run(box, picks)
		if !slices.Equal(path, again) || !o.same(twin) {
			return nil, nil, fmt.Errorf("%w: two recoveries of one image differ: %s", ErrNotDeterministic, difference(o, twin))
		}
	}
	if e.cfg.Unpruned {
		path = everything(box, picks)
	}
	return path, o, nil
}

// everything is the path of a recovery that reads all cells.
func everything(box decision.Box, picks []int) (path []decision.Read) {
	for i, c := range box.Cells() {
		for from := 0; from < c.Len; {
			off := c.Off + int64(from)
			to := min(c.Len, from+int(decision.Block-off%decision.Block))
			path = append(path, decision.Read{Off: off, Data: string(c.Versions[picks[i]].Data[from:to])})
			from = to
		}
	}
	return path
}

func difference(a, b *outcome) string {
	if a.dump != b.dump {
		return fmt.Sprintf("dumps %s and %s", clip(a.dump), clip(b.dump))
	}
	if fmt.Sprint(a.err) != fmt.Sprint(b.err) {
		return fmt.Sprintf("%v and %v", a.err, b.err)
	}
	return "they read different bytes"
}

// leaf judges an outcome that stands for many images.
func (e *explorer) leaf(box decision.Box, o *outcome, versions [][]int) error {
	e.tally.checked.Add(e.tally.checked, volume(versions))
	if err := e.legal.judge(o); err != nil {
		return e.fail(err, &scene{box: box, picks: firsts(versions), legal: e.legal})
	}
	if e.leaves++; e.leaves&(e.leaves-1) == 0 || e.leaves%1024 == 0 {
		if err := e.audit(box, o, versions); err != nil {
			return err
		}
	}
	if e.cfg.Shallow || o.stores == 0 {
		return nil
	}
	return e.nested(box, o, versions)
}

// audit recovers another image of those that a leaf stands for: the control of pruning.
func (e *explorer) audit(box decision.Box, o *outcome, versions [][]int) error {
	picks := make([]int, len(versions))
	for i, v := range versions {
		picks[i] = v[e.random.IntN(len(v))]
	}
	_, twin := e.prober.run(box, picks)
	e.report.Audits++
	if !o.same(twin) {
		return fmt.Errorf("%w: two images that are equal where it read recover differently: %s", ErrNotDeterministic, difference(o, twin))
	}
	return nil
}

func firsts(versions [][]int) []int {
	picks := make([]int, len(versions))
	for i, v := range versions {
		picks[i] = v[0]
	}
	return picks
}

func volume(versions [][]int) *big.Int {
	small, n := uint64(1), (*big.Int)(nil)
	for _, v := range versions {
		if small < 1<<31 {
			small *= uint64(len(v))
			continue
		}
		if n == nil {
			n = big.NewInt(1)
		}
		n.Mul(n, big.NewInt(int64(len(v))))
	}
	if n == nil {
		return new(big.Int).SetUint64(small)
	}
	return n.Mul(n, new(big.Int).SetUint64(small))
}

// residue looks for erased secrets in all images.
func (e *explorer) residue(cells []*state.Cell) error {
	for _, c := range e.canaries {
		if off, found := c.find(e.st.Base(), cells); found {
			return e.fail(fmt.Errorf("%w: at %d", ErrResidue, off), nil)
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

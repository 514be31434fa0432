package damon

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"
)

// Errors of a [Control], beside [*Invalid], [*Unsupported], [*Refused], [*Kept] and [*Failed].
var (
	// ErrForeign: what is there is somebody else's. See [*Foreign].
	ErrForeign = errors.New("somebody else's")
	// ErrRunning: it can't be done while a kdamond runs.
	ErrRunning = errors.New("a kdamond runs")
	// ErrNone: there is no kdamond.
	ErrNone = errors.New("there is no kdamond")
)

// Foreign says whose the interface is not. It wraps [ErrForeign].
type Foreign struct {
	Kdamonds int   // how many there are
	PIDs     []int // of those that run
	Why      string
}

// Error implements error.
func (f *Foreign) Error() string {
	what := fmt.Sprintf("%d kdamonds", f.Kdamonds)
	if f.Kdamonds == 1 {
		what = "a kdamond"
	}
	state := "off"
	if len(f.PIDs) > 0 {
		state = "running as pid " + strings.Trim(fmt.Sprint(f.PIDs), "[]")
	}
	return fmt.Sprintf("the interface is %v: it has %s, %s: %s; nothing was written, and who adopts it may change it", ErrForeign, what, state, f.Why)
}

// Unwrap returns [ErrForeign].
func (f *Foreign) Unwrap() error { return ErrForeign }

// Options say how a [Control] goes about it.
type Options struct {
	// Adopt: take over what somebody else has made. Nothing is dropped by that.
	Adopt bool
	// DryRun: find out what would be written, and write nothing.
	DryRun bool
}

// Control changes the interface: the one thing of this package that writes. It takes a lock,
// looks whose the interface is, writes only what differs, compares what the kernel then says, and
// puts back what was before where any of that fails. It may be used by several at a time.
type Control struct {
	fs FS
	Options
	ledger
}

// NewControl returns a control of the running kernel's interface. It takes root.
func NewControl(o Options) (*Control, error) {
	l, err := Default().ledger()
	return &Control{Default(), o, l}, err
}

// Change is what was written, or with DryRun what would be.
type Change struct {
	Schema string  `json:"schema"`
	DryRun bool    `json:"dry_run"`
	Writes []Write `json:"writes"`
	// Kdamonds are what is there now.
	Kdamonds []Kdamond `json:"kdamonds"`
}

// ChangeSchema names the JSON form of a [Change].
const ChangeSchema = "safevma.damon-change/v1"

// Start makes kdamonds in the place of all that there are, and turns those on that are
// to be on. The interface must be free, or what is there off, and ours or adopted.
func (c *Control) Start(ctx context.Context, want []Kdamond) (*Change, error) {
	return c.change(ctx, false, func(now []Kdamond) ([]Kdamond, error) {
		if running := pids(now); len(running) > 0 {
			return nil, fmt.Errorf("%w (pid %v): stop it, or tune it", ErrRunning, running)
		}
		if len(want) == 0 {
			return nil, fmt.Errorf("nothing to start: %w in the plan", ErrNone)
		}
		return want, nil
	})
}

// Tune changes kdamonds that are there, while they run. plan gets a copy of what they are,
// and returns what they are to be; their number stays.
func (c *Control) Tune(ctx context.Context, plan func(now []Kdamond) ([]Kdamond, error)) (*Change, error) {
	return c.change(ctx, true, func(now []Kdamond) ([]Kdamond, error) {
		if len(now) == 0 {
			return nil, fmt.Errorf("nothing to tune: %w", ErrNone)
		}
		want, err := plan(deepCopy(now))
		if err == nil && len(want) != len(now) {
			err = fmt.Errorf("%w: another number of them, %d in the place of %d, takes stopping and starting", ErrRunning, len(want), len(now))
		}
		return want, err
	})
}

// change does what Start and Tune have in common. keeps says that the directories stay whose
// they are.
func (c *Control) change(ctx context.Context, keeps bool, plan func(now []Kdamond) ([]Kdamond, error)) (*Change, error) {
	now, adopted, unlock, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	want, err := plan(now)
	if err != nil {
		return nil, err
	}
	if err := validate(want); err != nil {
		return nil, err
	}
	writes, err := Diff(now, want)
	if older := olderFilters(err, want); older != nil {
		want = older
		writes, err = Diff(now, want)
	}
	if err != nil {
		return nil, err
	}
	change := &Change{Schema: ChangeSchema, DryRun: c.DryRun, Writes: append([]Write{}, writes...), Kdamonds: now}
	if c.DryRun {
		return change, nil
	}
	if change.Writes, change.Kdamonds, err = c.fs.apply(now, want, writes); err != nil {
		return nil, c.after(err, adopted)
	}
	if err := c.ledger.write(change.Kdamonds, keeps && adopted); err != nil {
		return change, fmt.Errorf("it is as it was wanted, and no record says whose it is: adopt it: %w", err)
	}
	return change, nil
}

// after keeps the record right where a change failed and all was put back: kdamonds may
// run as new threads.
func (c *Control) after(err error, adopted bool) error {
	var of *Failed
	if !errors.As(err, &of) || len(of.Left) > 0 || of.Undo != nil || len(of.Lost) == 0 {
		return err
	}
	in, readErr := c.fs.Read()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return errors.Join(err, c.ledger.write(in.Kdamonds, adopted))
}

func validate(want []Kdamond) error {
	var errs []error
	for n := range want {
		errs = append(errs, want[n].Validate(n))
	}
	return errors.Join(errs...)
}

// begin takes the lock, reads what is there, and sees whose it is: before that nothing is
// written. adopted says that somebody else made it. Where nobody has taken the lock since the
// machine started, somebody else's is refused without leaving even a lock.
func (c *Control) begin(ctx context.Context) (now []Kdamond, adopted bool, unlock func(), err error) {
	if !c.everLocked() {
		if now, adopted, err = c.look(); err != nil || c.DryRun {
			return now, adopted, func() {}, err
		}
	}
	if unlock, err = c.lock(ctx); err != nil {
		return nil, false, nil, failed(c.dir, err)
	}
	if now, adopted, err = c.look(); err != nil {
		unlock()
		return nil, false, nil, err
	}
	return now, adopted, unlock, nil
}

func (c *Control) look() (now []Kdamond, adopted bool, err error) {
	in, err := c.fs.Read()
	if err != nil {
		return nil, false, err
	}
	adopted, err = c.whose(in.Kdamonds)
	return in.Kdamonds, adopted, err
}

// whose compares what is there with the record.
func (c *Control) whose(now []Kdamond) (adopted bool, err error) {
	if len(now) == 0 {
		return false, nil
	}
	r, err := c.ledger.read()
	if err != nil {
		return false, err
	}
	why := r.names(now)
	switch {
	case why == "":
		return r.Adopted, nil
	case c.Adopt:
		return true, nil
	}
	return false, &Foreign{len(now), pids(now), why}
}

// Stop turns all kdamonds off. Directories that [Control.Start] made are removed; those
// that were adopted stay as they are. Nothing is put back where it fails: what is off stays off.
func (c *Control) Stop(ctx context.Context) (*Change, error) {
	now, adopted, unlock, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if len(now) == 0 {
		return nil, fmt.Errorf("nothing to stop: %w", ErrNone)
	}
	change := &Change{Schema: ChangeSchema, DryRun: c.DryRun, Writes: stopping(now, adopted), Kdamonds: now}
	if c.DryRun {
		return change, nil
	}
	var errs []error
	for n, w := range change.Writes {
		if w.File == countFile { // turning off takes its time: somebody else may have set up something
			if _, adopted, err := c.look(); err != nil {
				errs = append(errs, fmt.Errorf("turned off, and no more: %w", err))
				break
			} else if adopted {
				change.Writes = change.Writes[:n]
				break
			}
		}
		errs = append(errs, c.fs.command(w))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	in, err := c.fs.Read()
	if err != nil {
		return nil, err
	}
	change.Kdamonds = in.Kdamonds
	return change, c.ledger.write(nil, false)
}

func stopping(now []Kdamond, adopted bool) []Write {
	writes := []Write{}
	for n := range now {
		if now[n].State == On {
			writes = append(writes, Write{File: path.Join(fmt.Sprint(n), "state"), From: string(On), To: string(TurnOff)})
		}
	}
	if !adopted {
		writes = append(writes, Write{File: countFile, From: fmt.Sprint(len(now)), To: "0"})
	}
	return writes
}

// Run gives one kdamond a command that changes nothing of what is set up, such as
// [UpdateStats], and returns what is there then. It may wait for the next aggregation.
func (c *Control) Run(ctx context.Context, n int, command Command) ([]Kdamond, error) {
	if command == TurnOn || command == TurnOff || command == Commit {
		return nil, fmt.Errorf("%w: %q changes the set-up: start, tune or stop", ErrMalformed, command)
	}
	now, adopted, unlock, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if n < 0 || n >= len(now) {
		return nil, fmt.Errorf("kdamond %d: %w", n, ErrNone)
	}
	if !c.DryRun {
		if err := c.fs.write(Write{File: path.Join(fmt.Sprint(n), "state"), From: string(now[n].State), To: string(command)}); err != nil {
			return nil, err
		}
	}
	in, err := c.fs.Read()
	if err != nil {
		return nil, err
	}
	if c.DryRun {
		return in.Kdamonds, nil
	}
	return in.Kdamonds, c.ledger.write(in.Kdamonds, adopted) // it may have been adopted by this
}

// deepCopy copies kdamonds with all that they point to.
func deepCopy(list []Kdamond) []Kdamond {
	return deep(reflect.ValueOf(list)).Interface().([]Kdamond)
}

func deep(v reflect.Value) reflect.Value {
	to := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			to.Set(reflect.New(v.Type().Elem()))
			to.Elem().Set(deep(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			to.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				to.Index(i).Set(deep(v.Index(i)))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			to.Field(i).Set(deep(v.Field(i)))
		}
	default:
		to.Set(v)
	}
	return to
}

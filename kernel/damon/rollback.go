package damon

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// Failed is a change that failed after something was written.
type Failed struct {
	Err error // why
	// Left is what is not as it was before; From is what it is now, and To what it was. It
	// is empty where all was put back.
	Left []Write
	// Undo is why that is left.
	Undo error
	// Lost are kdamonds that run again, as other threads: what they had seen is gone.
	Lost []int
}

// Error implements error.
func (f *Failed) Error() string {
	text := f.Err.Error()
	if len(f.Left) == 0 && f.Undo == nil {
		text += "; what was before is there again"
	}
	for _, w := range f.Left {
		text += fmt.Sprintf("; %s is left at %q, was %q", w.File, w.From, w.To)
	}
	if f.Undo != nil {
		text += "; putting it back failed: " + f.Undo.Error()
	}
	if len(f.Lost) > 0 {
		text += fmt.Sprintf("; kdamonds %v run as new threads: what they had seen is gone", f.Lost)
	}
	return text
}

// Unwrap returns why the change failed.
func (f *Failed) Unwrap() error { return f.Err }

// putBack makes of what a change has left what was before, as far as it can. Where nothing
// was written, nothing is; nor where somebody else came between, who knows of no lock of ours.
func (f FS) putBack(before []Kdamond, done []Write, cause error) error {
	failed := &Failed{Err: cause}
	if len(done) == 0 {
		return failed
	}
	in, err := f.Read()
	if err == nil {
		err = intruder(in.Kdamonds, before, done)
	}
	if err != nil {
		failed.Undo = err
		return failed
	}
	var errs []error
	for _, w := range f.undo(in.Kdamonds, before, &errs) {
		if err := f.command(w); err != nil {
			errs = append(errs, err)
		}
	}
	if in, err = f.Read(); err != nil {
		failed.Undo = errors.Join(append(errs, err)...)
		return failed
	}
	if failed.Left, err = different(in.Kdamonds, before); err != nil {
		errs = append(errs, err)
	}
	if len(failed.Left) > 0 {
		failed.Undo = errors.Join(errs...)
	}
	for n := range in.Kdamonds {
		if n < len(before) && before[n].State == On && in.Kdamonds[n].State == On && in.Kdamonds[n].PID != before[n].PID {
			failed.Lost = append(failed.Lost, n)
		}
	}
	return failed
}

// intruder names kdamonds that run, and neither ran before nor were turned on by what was
// written ([ErrForeign]).
func intruder(now, before []Kdamond, done []Write) error {
	var list []int
	for n, k := range now {
		ran := n < len(before) && before[n].State == On && before[n].PID == k.PID
		turned := slices.ContainsFunc(done, func(w Write) bool { return w.File == path.Join(fmt.Sprint(n), "state") && w.To == string(TurnOn) })
		if k.State == On && !ran && !turned {
			list = append(list, k.PID)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("the interface is %w by now: kdamonds with pids %v were turned on meanwhile, and are left as they are", ErrForeign, list)
}

// undo lists the writes back. Where directories are to be made anew, none may run: those
// that do were turned on by the change.
func (f FS) undo(now, before []Kdamond, errs *[]error) []Write {
	var off []Write
	for n := range now {
		if len(now) != len(before) && now[n].State == On {
			off = append(off, Write{File: path.Join(fmt.Sprint(n), "state"), From: string(On), To: string(TurnOff)})
		}
	}
	writes, err := Diff(now, before)
	if err != nil {
		*errs = append(*errs, err)
	}
	return append(off, writes...)
}

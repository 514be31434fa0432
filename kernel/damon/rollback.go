package damon

import (
	"errors"
	"fmt"
	"path"
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

// putBack makes of what a change has left what was before, as far as it can.
func (f FS) putBack(before []Kdamond, cause error) error {
	failed := &Failed{Err: cause}
	in, err := f.Read()
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

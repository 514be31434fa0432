package watch

import (
	"context"
	"errors"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/psi"
)

// EventSchema names the JSON form of an [Event].
const EventSchema = "safevma.psi-event/v1"

// EventKind says what an [Event] is about.
type EventKind string

// The kinds, in the order in which they come.
const (
	Armed    EventKind = "armed"    // the trigger is set; Trigger is what the kernel took
	Stalled  EventKind = "pressure" // it fired, and the sum of stalls has grown by the threshold
	False    EventKind = "false"    // it fired, and the sum has not
	Level    EventKind = "level"    // of a group of version 1: see [WatchLevels]
	Gone     EventKind = "gone"     // the group was removed
	Finished EventKind = "end"      // nothing more comes
)

// Target is a file of pressure, and what it is called.
type Target struct{ Name, Path string }

// Event is a line of what is watched.
type Event struct {
	Schema string    `json:"schema"`
	Kind   EventKind `json:"kind"`
	At     time.Time `json:"at"`
	Target string    `json:"target,omitempty"`
	// Asked is the trigger that was asked for, Trigger the one that is set: without
	// CAP_SYS_RESOURCE the kernel takes windows of a multiple of 2 seconds alone.
	Asked   string `json:"asked,omitempty"`
	Trigger string `json:"trigger,omitempty"`
	// Level is "low", "medium", "critical" or "oom".
	Level string `json:"level,omitempty"`
	// StalledUS is by how many microseconds the sum of stalls grew since Since.
	StalledUS int64         `json:"stalled_us"`
	Since     *time.Time    `json:"since,omitempty"`
	Pressure  *psi.Pressure `json:"pressure,omitempty"`
	// Confirmed and Unconfirmed count events, in the last line.
	Confirmed   int `json:"confirmed"`
	Unconfirmed int `json:"unconfirmed"`
}

// Watch sets the same trigger on all targets and calls fn for each event, until ctx ends or
// no target is left. It returns how many events were confirmed; the last event says so,
// too, whatever ended it but fn.
func Watch(ctx context.Context, targets []Target, spec psi.Spec, fn func(Event) error) (confirmed int, err error) {
	w, err := psi.NewWatcher()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	s := &session{names: map[string]string{}, asked: spec.String(), left: len(targets), fn: fn}
	for _, t := range targets {
		got, err := w.Add(t.Path, spec)
		if err != nil {
			return 0, &TargetError{t.Name, err}
		}
		s.names[t.Path] = t.Name
		if err := fn(Event{Schema: EventSchema, Kind: Armed, At: time.Now().UTC(), Target: guarantee.Text(t.Name), Asked: s.asked, Trigger: got.String()}); err != nil {
			return 0, err
		}
	}
	err = w.Run(ctx, s.event)
	if s.failed != nil {
		return s.confirmed, s.failed
	}
	if errors.Is(err, errNoneLeft) || ctx.Err() != nil {
		err = nil
	}
	return s.confirmed, errors.Join(err, fn(Event{Schema: EventSchema, Kind: Finished, At: time.Now().UTC(), Confirmed: s.confirmed, Unconfirmed: s.unconfirmed}))
}

// TargetError says on which target no trigger could be set.
type TargetError struct {
	Target string
	Err    error
}

// Error implements error.
func (e *TargetError) Error() string { return guarantee.Text(e.Target) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TargetError) Unwrap() error { return e.Err }

var errNoneLeft = errors.New("no target is left")

// session counts what it passes on.
type session struct {
	names                  map[string]string
	asked                  string
	left                   int
	confirmed, unconfirmed int
	fn                     func(Event) error
	failed                 error // of fn
}

func (s *session) event(e psi.Event) error {
	out := Event{Schema: EventSchema, Kind: False, At: e.At.UTC(), Target: guarantee.Text(s.names[e.Path]), Asked: s.asked, Trigger: e.Spec.String()}
	switch {
	case e.Gone:
		out.Kind = Gone
		s.left--
	default:
		since := e.Since.UTC()
		out.StalledUS, out.Since, out.Pressure = e.Stalled.Microseconds(), &since, &e.Pressure
		if e.Confirmed {
			out.Kind = Stalled
			s.confirmed++
		} else {
			s.unconfirmed++
		}
	}
	if s.failed = s.fn(out); s.failed != nil {
		return s.failed
	}
	if s.left == 0 {
		return errNoneLeft
	}
	return nil
}

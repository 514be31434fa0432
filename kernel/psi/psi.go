// Package psi reads pressure stall information, and waits for it.
//
// Pressure is the time in which tasks could not go on for want of a resource: "some" of
// them, or all ("full"). The kernel counts it for the host (/proc/pressure) and for each
// cgroup of version 2 (memory.pressure, io.pressure, cpu.pressure); also where the memory
// controller itself is one of version 1.
//
// # Waiting
//
// A [Trigger] is one threshold, a [Watcher] many, in an epoll loop of its own: the runtime's
// poller does not ask for EPOLLPRI, by which the kernel tells. Four things are easily done
// wrong, and are done by the Watcher:
//
//   - Without CAP_SYS_RESOURCE the window must be a multiple of 2 seconds, uid 0 or not:
//     EINVAL otherwise. The Watcher then widens window and threshold in proportion, and says
//     so.
//   - An event is not yet pressure: a trigger of an unprivileged process may fire when it is
//     armed, for what lies before. The Watcher looks at the sum of stalls: an event is
//     [Event.Confirmed] where it grew by the threshold within the last windows.
//   - Who reads the file keeps triggers of unprivileged processes from being judged, this
//     process too: they tell late, or never. The Watcher reads the sums once a window anyway,
//     and tells of growth itself where the trigger has not. One who reads
//     more often than the kernel ticks keeps even the sums from growing (probe psi-lost).
//   - A cgroup that is removed wakes its triggers with an error: [Event.Gone].
//
// Whether the kernel counts at all is told apart from no pressure: [ErrAbsent], [ErrOff].
//
// Source: Documentation/accounting/psi.rst.
package psi

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Why there is no pressure to read.
var (
	// ErrAbsent: this kernel or this cgroup has no such file (CONFIG_PSI, psi=0, a cgroup
	// of version 1).
	ErrAbsent = errors.New("pressure is not counted here")
	// ErrOff: it is built in, and switched off (psi=0, cgroup.pressure).
	ErrOff = errors.New("counting of pressure is switched off")
)

// Pressure is one reading of a file. Of the CPU the kernel has no Full line before Linux
// 5.13, and of interrupts no Some: they are zero then.
type Pressure struct {
	Some, Full Line
	// HasSome and HasFull say which lines there are.
	HasSome, HasFull bool
}

// Line returns the line of a kind.
func (p *Pressure) Line(kind Kind) Line {
	if kind == Full {
		return p.Full
	}
	return p.Some
}

// Line is one line of it: averages in percent of time, over 10, 60 and 300 seconds, and
// the sum since the begin.
type Line struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration
}

// MarshalJSON writes the lines that there are; the sum in microseconds, as the kernel does.
func (p Pressure) MarshalJSON() ([]byte, error) {
	out := struct {
		Some *Line `json:"some"`
		Full *Line `json:"full"`
	}{}
	if p.HasSome {
		out.Some = &p.Some
	}
	if p.HasFull {
		out.Full = &p.Full
	}
	return json.Marshal(out)
}

// MarshalJSON writes the averages in percent, and the sum in microseconds.
func (l Line) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Avg10  float64 `json:"avg10"`
		Avg60  float64 `json:"avg60"`
		Avg300 float64 `json:"avg300"`
		Total  int64   `json:"total_us"`
	}{l.Avg10, l.Avg60, l.Avg300, l.Total.Microseconds()})
}

// Read reads a file such as /proc/pressure/memory. Where pressure is switched off
// (psi=0), the kernel says EOPNOTSUPP or has no such file.
func Read(path string) (Pressure, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Pressure{}, classify(err)
	}
	p, err := parse(string(text))
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return p, err
}

func parse(text string) (p Pressure, err error) {
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "some":
			p.HasSome = true
			err = p.Some.parse(rest)
		case "full":
			p.HasFull = true
			err = p.Full.parse(rest)
		default:
			err = fmt.Errorf("line of kind %q", kind)
		}
		if err != nil {
			return p, err
		}
	}
	if !p.HasSome && !p.HasFull {
		return p, fmt.Errorf("no line \"some\" and none \"full\"")
	}
	return p, nil
}

// classify makes a typed reason of the errnos that mean one, and keeps the error.
func classify(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	case errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%w: %w", ErrOff, err)
	}
	return err
}

func (l *Line) parse(text string) error {
	averages := map[string]*float64{"avg10": &l.Avg10, "avg60": &l.Avg60, "avg300": &l.Avg300}
	total := false
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		if to, ok := averages[name]; ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil || n < 0 || n != n || n > 1e6 { // NaN and Inf parse, and are no JSON
				return fmt.Errorf("%s=%q", name, value)
			}
			*to = n
			delete(averages, name)
		}
		if name == "total" {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("total=%q", value)
			}
			l.Total, total = time.Duration(n)*time.Microsecond, true
		}
	}
	if len(averages) > 0 || !total {
		return fmt.Errorf("%q lacks a field", text)
	}
	return nil
}

// Trigger wakes its holder when the pressure is more than a threshold.
type Trigger struct{ f *os.File }

// NewTrigger sets a trigger on a file of pressure: it fires when "some" or "full" stall for
// more than stall within window, which is from half a second to 10 seconds, and without
// CAP_SYS_RESOURCE a multiple of 2 seconds. It ends with [Trigger.Close].
func NewTrigger(path, kind string, stall, window time.Duration) (*Trigger, error) {
	f, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdwr|syscall.O_NONBLOCK)
	if err != nil {
		return nil, classify(err)
	}
	if _, err := f.WriteString(Spec{Kind(kind), stall, window}.text()); err != nil {
		f.Close()
		return nil, classify(err)
	}
	return &Trigger{f}, nil
}

// Wait waits until the trigger fires, at most for timeout, and reports whether it did. The
// kernel fires it at most once a window. An event alone proves nothing: compare the totals
// of [Read] before and after; and read neither often, nor let others: without the capability
// it is not judged then (see [Event]).
func (t *Trigger) Wait(timeout time.Duration) (bool, error) { return sys.WaitPriority(t.f, timeout) }

// Close ends the trigger.
func (t *Trigger) Close() error { return t.f.Close() }

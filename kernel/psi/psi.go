// Package psi reads pressure stall information, and waits for it.
//
// Pressure is the time in which tasks could not go on for want of a resource: "some" of
// them, or all ("full"). The kernel counts it for the host (/proc/pressure) and for each
// cgroup of version 2 (memory.pressure, io.pressure, cpu.pressure).
//
// Source: Documentation/accounting/psi.rst.
package psi

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Pressure is one reading of a file.
type Pressure struct{ Some, Full Line }

// Line is one line of it: averages in percent of time, over 10, 60 and 300 seconds, and
// the sum since the begin.
type Line struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration
}

// Read reads a file such as /proc/pressure/memory. Where pressure is switched off
// (psi=0), the kernel says EOPNOTSUPP or has no such file.
func Read(path string) (Pressure, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Pressure{}, err
	}
	p, err := parse(string(text))
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return p, err
}

func parse(text string) (p Pressure, err error) {
	some := false
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "some":
			some = true
			err = p.Some.parse(rest)
		case "full":
			err = p.Full.parse(rest)
		default:
			err = fmt.Errorf("line of kind %q", kind)
		}
		if err != nil {
			return p, err
		}
	}
	if !some {
		return p, fmt.Errorf("no line \"some\"")
	}
	return p, nil
}

func (l *Line) parse(text string) error {
	averages := map[string]*float64{"avg10": &l.Avg10, "avg60": &l.Avg60, "avg300": &l.Avg300}
	total := false
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		if to, ok := averages[name]; ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return err
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
	f, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdwr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(f, "%s %d %d\x00", kind, stall.Microseconds(), window.Microseconds()); err != nil {
		f.Close()
		return nil, err
	}
	return &Trigger{f}, nil
}

// Wait waits until the trigger fires, at most for timeout, and reports whether it did. The
// kernel fires it at most once a window. An event alone proves nothing: compare the totals
// of [Read] before and after.
func (t *Trigger) Wait(timeout time.Duration) (bool, error) { return sys.WaitPriority(t.f, timeout) }

// Close ends the trigger.
func (t *Trigger) Close() error { return t.f.Close() }

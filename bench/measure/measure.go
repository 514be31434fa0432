// Package measure is what a contender tells the driver: how many operations took how long.
// A contender is a process of its own, in Go or C, and prints a line each:
//
//	measure NAME OPERATIONS WALL CPU
//	note    WORDS...
//
// with times in nanoseconds; the CPU time is that of the whole process, as getrusage(2) has
// it, so with the kernel's part, the garbage collector's and that of background work. A note
// says something about the run that belongs under the table. See c/measure.h for C.
package measure

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/interleave"
)

// Measure is what some operations took.
type Measure struct {
	Name      string
	Ops       int
	Wall, CPU time.Duration
}

// Clock measures in parts: what is between Stop and the next Start does not count.
type Clock struct {
	wall, cpu time.Duration
	start     time.Time
	before    time.Duration
}

// Start begins a part.
func (c *Clock) Start() { c.before, c.start = used(), time.Now() }

// Stop ends a part.
func (c *Clock) Stop() {
	c.wall += time.Since(c.start)
	c.cpu += used() - c.before
}

// Measure returns what all parts took.
func (c *Clock) Measure(name string, ops int) Measure {
	return Measure{Name: name, Ops: ops, Wall: c.wall, CPU: c.cpu}
}

func used() time.Duration {
	user, system := interleave.CPU()
	return user + system
}

// Print writes the line.
func (m Measure) Print(w io.Writer) error {
	_, err := fmt.Fprintln(w, "measure", m.Name, m.Ops, m.Wall.Nanoseconds(), m.CPU.Nanoseconds())
	return err
}

// PrintNote writes a note.
func PrintNote(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintln(w, "note", fmt.Sprintf(format, args...))
	return err
}

// Parse reads what a contender printed. A line that is neither a measure nor a note is an
// error: what is half understood is not reported.
func Parse(r io.Reader) (measures []Measure, notes []string, err error) {
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return measures, notes, lines.Err()
		}
		if note, ok := strings.CutPrefix(lines.Text(), "note "); ok {
			notes = append(notes, note)
			continue
		}
		m, err := parse(lines.Text())
		if err != nil {
			return nil, nil, err
		}
		measures = append(measures, m)
	}
}

func parse(line string) (m Measure, err error) {
	var rest string
	n, _ := fmt.Sscanf(line, "measure %s %d %d %d%s", &m.Name, &m.Ops, &m.Wall, &m.CPU, &rest)
	if n != 4 || m.Ops < 1 || m.Wall <= 0 || m.CPU < 0 {
		return Measure{}, fmt.Errorf("not a measure: %q", line)
	}
	return m, nil
}

// Mix is one to one: different numbers stay different, in no order (the finaliser of
// MurmurHash3). Contenders in C have the same.
func Mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}

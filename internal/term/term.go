// Package term shows verdicts, address spaces and memfds to a person at a terminal. It
// decides nothing; machines read the JSON of package guarantee instead.
//
// Colours follow the terminal, and NO_COLOR (https://no-color.org); nothing is said by
// colour alone. All names are escaped, see guarantee.Text.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// Writer takes styled text and gives the terminal what it can show. The first error
// stays, and stops the output.
type Writer struct {
	out     io.Writer
	columns int // of the terminal; 0 where out is none
	err     error
}

// NewWriter writes to out. environ is as os.Environ returns it.
func NewWriter(out io.Writer, environ []string) *Writer {
	return &Writer{out: colorprofile.NewWriter(out, environ), columns: width(out)}
}

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

func (w *Writer) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format+"\n", args...)
	}
}

// text writes a line that may be long. A terminal gets it in several, broken between
// words; a file gets it whole, to be searched.
func (w *Writer) text(indent int, format string, args ...any) {
	const hang = 2 // how much further the later lines are indented
	text, margin := fmt.Sprintf(format, args...), strings.Repeat(" ", indent)
	if w.columns > 0 {
		text = strings.ReplaceAll(lipgloss.Wrap(text, w.columns-indent-hang, ""), "\n", "\n"+margin+strings.Repeat(" ", hang))
	}
	w.line("%s%s", margin, text)
}

// styles by what they mean.
var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	bad    = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	quiet  = lipgloss.NewStyle().Foreground(lipgloss.Blue)
	secret = lipgloss.NewStyle().Foreground(lipgloss.Magenta)
)

// Size writes a number of bytes as people read it: exact below 10 MiB in KiB, then with
// three digits.
func Size(bytes uint64) string {
	if bytes < 10<<20 {
		if bytes%1024 != 0 {
			return fmt.Sprintf("%d B", bytes)
		}
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	value, unit := float64(bytes)/(1<<20), 0
	units := []string{"MiB", "GiB", "TiB", "PiB", "EiB"}
	for value >= 1000 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.3g %s", value, units[unit])
}

// IsTerminal reports whether a person is likely to see what is written to f.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// narrowest is what is written for where a terminal is still narrower, widthUnknown where
// it doesn't say.
const (
	narrowest    = 20
	widthUnknown = 100
)

// width returns how many columns a terminal has, and 0 of what is none.
func width(out io.Writer) int {
	f, ok := out.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns == 0 {
		return widthUnknown
	}
	return max(columns, narrowest)
}

// Progress shows on a terminal how far work has come, on one line that it takes away at
// the end. It shows nothing of work that is done at once.
type Progress struct {
	f     *os.File
	what  string
	start time.Time
	last  time.Time
	shown bool
}

// NewProgress writes to f, if that is a terminal.
func NewProgress(f *os.File, what string) *Progress {
	p := &Progress{what: what, start: time.Now()}
	if IsTerminal(f) {
		p.f = f
	}
	return p
}

const (
	progressAfter = 300 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// Step says how much is done. It is for one goroutine at a time.
func (p *Progress) Step(done, total int) {
	now := time.Now()
	if p.f == nil || now.Sub(p.start) < progressAfter || now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.shown = now, true
	const cells = 24
	full := 0
	if total > 0 {
		full = cells * done / total
	}
	fmt.Fprintf(p.f, "\r\x1b[K%s [%s%s] %d/%d", p.what, strings.Repeat("=", full), strings.Repeat(" ", cells-full), done, total)
}

// Say shows how far work has come that has no known end.
func (p *Progress) Say(text string) {
	if p.f != nil {
		p.shown = true
		fmt.Fprintf(p.f, "\r\x1b[K%s: %s", p.what, text)
	}
}

// Done takes the line away.
func (p *Progress) Done() {
	if p.shown {
		fmt.Fprint(p.f, "\r\x1b[K")
	}
}

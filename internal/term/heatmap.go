package term

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/safevma/safevma/watch/heatmap"
)

// The size of a terminal that is none.
const (
	columnsUsual = 80
	rowsUsual    = 24
)

// The room that a picture leaves: for addresses on the left, and for what stands above
// and below.
const (
	heatmapLeft  = 15 // of a process: 0x7ffffffff000
	heatmapLines = 8
)

// HeatmapRoom is how many cells of time and of addresses a picture can have.
func HeatmapRoom(out interface{ Fd() uintptr }) (times, addresses int) {
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil || columns == 0 || rows == 0 {
		columns, rows = columnsUsual, rowsUsual
	}
	return max(columns-heatmapLeft-1, 8), max(rows-heatmapLines, 4)
}

// heatStyles are for the levels: from dark blue by purple and red to a light yellow.
var heatStyles = func() (styles [heatmap.Levels]lipgloss.Style) {
	colours := [heatmap.Levels]struct{ back, front string }{{"17", "245"}, {"18", "250"}, {"54", "252"}, {"90", "255"}, {"126", "255"},
		{"161", "255"}, {"196", "255"}, {"208", "16"}, {"220", "16"}, {"229", "16"}}
	for i, c := range colours {
		styles[i] = lipgloss.NewStyle().Background(lipgloss.Color(c.back)).Foreground(lipgloss.Color(c.front))
	}
	return styles
}()

// Heatmap draws a picture: time to the right, addresses upwards, each cell a digit from 0,
// the least, to 9, the most.
func (w *Writer) Heatmap(m *heatmap.Map) {
	w.target(m.Stream.Thread, m.Stream.Target, m.Stream.Context, uint64(m.Stream.Snapshots), uint64(m.Stream.Partial))
	scale, left := m.Scale(), heatmapLeft-1
	for j := range m.Addresses {
		left = max(left, len(label(m, j)))
	}
	for j := m.Addresses - 1; j >= 0; j-- {
		w.line("%*s %s", left, label(m, j), heatRow(m, scale, j))
	}
	length := m.Span() * float64(m.Times) / 1e9
	end := seconds(length)
	w.line("%*s %s%s%s", left, "", "0 s", strings.Repeat(" ", max(m.Times-3-len(end), 1)), end)
	w.text(0, "%s", legend(scale, m.Unit))
	w.text(0, "%s", faint.Render(fmt.Sprintf("right: time, %s a cell; up: addresses, %s a cell; blank: not known", seconds(m.Span()/1e9), Size(m.Size()))))
}

// label is the address of a row; not all have one.
func label(m *heatmap.Map, j int) string {
	if j != m.Addresses-1 && j%4 != 0 {
		return ""
	}
	return fmt.Sprintf("%#x", m.Address(j))
}

// heatRow renders runs of one level at once.
func heatRow(m *heatmap.Map, scale heatmap.Scale, j int) string {
	var b strings.Builder
	for i := 0; i < m.Times; {
		level, n := scale.Level(m.Cell(i, j)), 1
		for i+n < m.Times && scale.Level(m.Cell(i+n, j)) == level {
			n++
		}
		if level < 0 {
			b.WriteString(strings.Repeat(" ", n))
		} else {
			b.WriteString(heatStyles[level].Render(strings.Repeat(strconv.Itoa(level), n)))
		}
		i += n
	}
	return strings.TrimRight(b.String(), " ")
}

func legend(s heatmap.Scale, unit heatmap.Unit) string {
	if math.IsInf(s.Most, -1) {
		return "nothing is known"
	}
	var parts []string
	for level := range heatmap.Levels {
		parts = append(parts, fmt.Sprintf("%s %.2g", heatStyles[level].Render(strconv.Itoa(level)), s.From(level)))
	}
	return fmt.Sprintf("accesses, from %s %s", strings.Join(parts, " "), unit)
}

package heatmap

import (
	"fmt"
	"strconv"

	"github.com/safevma/safevma/guarantee"
)

// The measures of pictures, in pixels.
const (
	pixelsLeft   = 130
	pixelsTop    = 72
	pixelsRight  = 24
	pixelsBottom = 112
	pixelsWide   = 960 // about, of the cells
	pixelsHigh   = 480
	ticks        = 6
)

// layout is where things stand on a picture.
type layout struct {
	cellWide, cellHigh int
	wide, high         int // of the cells
	width, height      int // of the picture
}

func (m *Map) layout() layout {
	l := layout{cellWide: max(pixelsWide/m.Times, 1), cellHigh: max(pixelsHigh/m.Addresses, 1)}
	l.wide, l.high = l.cellWide*m.Times, l.cellHigh*m.Addresses
	l.width, l.height = pixelsLeft+max(l.wide, pixelsWide/2)+pixelsRight, pixelsTop+l.high+pixelsBottom
	return l
}

// tick is a mark of an axis, by the number of the cell that begins there.
type tick struct {
	cell int
	text string
}

func (m *Map) timeTicks() (list []tick) {
	for n := range ticks {
		cell := n * m.Times / (ticks - 1)
		list = append(list, tick{cell, fmt.Sprintf("%.4g", float64(cell)*m.Span()/1e9)})
	}
	return list
}

func (m *Map) addressTicks() (list []tick) {
	for n := range ticks {
		cell := n * m.Addresses / (ticks - 1)
		list = append(list, tick{cell, "0x" + strconv.FormatUint(m.Address(cell), 16)})
	}
	return list
}

// The names of the axes.
const (
	timeAxis    = "time in seconds"
	addressAxis = "address"
)

// Title says what is drawn.
func (m *Map) Title() string {
	what := fmt.Sprintf("thread %d, target %d", m.Stream.Thread, m.Stream.Target)
	if c := m.Stream.Context; c != nil {
		what = fmt.Sprintf("kdamond %d, target %d", c.Kdamond, m.Stream.Target)
		if pid, ok := c.TargetPID(m.Stream.Target); ok {
			what += fmt.Sprintf(", pid %d", pid)
		} else if c.Operations != "" {
			what += ", " + guarantee.Text(string(c.Operations))
		}
	}
	return "Accesses to memory: " + what
}

// subtitle says how finely.
func (m *Map) subtitle() string {
	return fmt.Sprintf("%d snapshots, %d of them not whole; a cell is %.4g s and %d KiB; grey: nothing is known", m.Stream.Snapshots, m.Stream.Partial,
		m.Span()/1e9, m.Size()>>10)
}

// scaleText says what the colours stand for.
func (m *Map) scaleText() string { return fmt.Sprintf("accesses in %s, averaged over a cell", m.Unit) }

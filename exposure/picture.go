package exposure

import (
	"bufio"
	"fmt"
	"html"
	"io"

	"github.com/safevma/safevma/kernel/vma"
)

// Shade is what a cell of the picture shows: pages of the process before all else, then
// what most of its frames are.
type Shade uint8

// The shades, in the order of the legend.
const (
	ShadeExposed Shade = iota
	ShadeOwn
	ShadeSlab
	ShadePageTable
	ShadeMapped
	ShadeCache
	ShadeKernel
	ShadeReserved
	ShadeFree
	ShadeHole
)

// Shades returns all shades in the order of the legend.
func Shades() []Shade {
	return []Shade{ShadeExposed, ShadeOwn, ShadeSlab, ShadePageTable, ShadeMapped, ShadeCache, ShadeKernel, ShadeReserved, ShadeFree, ShadeHole}
}

// Letter is a sign for the shade where there are no colours.
func (s Shade) Letter() string {
	return [...]string{"!", "o", "s", "t", "m", "c", "k", "r", "·", " "}[s]
}

// String says what the shade stands for.
func (s Shade) String() string {
	return [...]string{"pages of the process, exposed ones among them", "pages of the process", "slab", "page tables", "mapped by others", "file cache",
		"other kernel memory", "reserved", "free", "no memory"}[s]
}

func (s Shade) colour() string {
	return [...]string{"#d62728", "#1f77b4", "#e377c2", "#9467bd", "#ff9f40", "#c7dba8", "#8c8c8c", "#5a5a5a", "#eeeeee", "#ffffff"}[s]
}

var shadeOf = map[vma.FrameClass]Shade{
	vma.FrameIsHole: ShadeHole, vma.FrameIsFree: ShadeFree, vma.FrameIsSlab: ShadeSlab, vma.FrameIsPageTable: ShadePageTable,
	vma.FrameIsMapped: ShadeMapped, vma.FrameIsCache: ShadeCache, vma.FrameIsReserved: ShadeReserved, vma.FrameIsKernel: ShadeKernel,
}

// Shade returns what the cell shows.
func (c *Cell) Shade() Shade {
	switch {
	case c.Exposed > 0:
		return ShadeExposed
	case c.Own > 0:
		return ShadeOwn
	}
	most := vma.FrameIsHole
	for _, class := range vma.FrameClasses() {
		if c.Counts[class] > c.Counts[most] {
			most = class
		}
	}
	return shadeOf[most]
}

// Squeeze returns the picture in at most n cells, each the sum of as many neighbours.
func (m *Memory) Squeeze(n int) []Cell {
	each := (len(m.Cells) + n - 1) / max(n, 1)
	if each <= 1 {
		return m.Cells
	}
	out := make([]Cell, (len(m.Cells)+each-1)/each)
	for i := range m.Cells {
		out[i/each].Add(&m.Cells[i])
	}
	return out
}

// The measures of the SVG, in pixels.
const (
	svgColumns = 128
	svgCell    = 8
	svgLeft    = 110
	svgTop     = 84
	svgLegend  = 18
)

// WriteSVG draws all physical memory, from the left to the right and downwards: where the
// pages of the process lie, and among what.
func (e *Exposure) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	cells := e.Memory.Cells
	rows := (len(cells) + svgColumns - 1) / svgColumns
	width, height := svgLeft+svgColumns*svgCell+20, svgTop+rows*svgCell+svgLegend*(len(Shades())+2)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`+"\n",
		width, height, width, height)
	title := fmt.Sprintf("Physical memory around process %d (%s)", e.Process.PID, e.Process.Name)
	fmt.Fprintf(b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", html.EscapeString(title))
	fmt.Fprintf(b, "<text x=\"10\" y=\"24\" font-size=\"17\" font-weight=\"bold\">%s</text>\n", html.EscapeString(title))
	fmt.Fprintf(b, "<text x=\"10\" y=\"46\">%s</text>\n", html.EscapeString(e.Total.sentence()))
	fmt.Fprintf(b, "<text x=\"10\" y=\"64\" fill=\"#555555\">%s, control %s; a cell is %d KiB</text>\n", e.Window.To.Format("2006-01-02 15:04:05 MST"),
		e.Control.Status, e.Memory.PerCell*vma.PageSize>>10)
	for row := range rows {
		e.svgRow(b, row, cells[row*svgColumns:min((row+1)*svgColumns, len(cells))])
	}
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#555555\"/>\n", svgLeft, svgTop, svgColumns*svgCell, rows*svgCell)
	for i, shade := range Shades() {
		y := svgTop + rows*svgCell + svgLegend*(i+1)
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\" stroke=\"#555555\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
			svgLeft, y, shade.colour(), svgLeft+20, y+11, shade)
	}
	b.WriteString("</svg>\n")
	return b.Flush()
}

// svgRow draws a row; neighbours of one shade are one rectangle, except where pages of the
// process are: those say how many.
func (e *Exposure) svgRow(b *bufio.Writer, row int, cells []Cell) {
	y := svgTop + row*svgCell
	address := uint64(row*svgColumns) * e.Memory.PerCell * vma.PageSize
	if row%4 == 0 {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-size=\"10\" font-family=\"monospace\">%#x</text>\n", svgLeft-6, y+svgCell, address)
	}
	for i := 0; i < len(cells); {
		shade, n := cells[i].Shade(), 1
		for cells[i].Own == 0 && i+n < len(cells) && cells[i+n].Shade() == shade {
			n++
		}
		if shade != ShadeHole {
			fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"", svgLeft+i*svgCell, y, n*svgCell, svgCell, shade.colour())
			if own := cells[i].Own; own > 0 {
				first := address + uint64(i)*e.Memory.PerCell*vma.PageSize
				fmt.Fprintf(b, "><title>%d pages from %#x on, %d exposed</title></rect>\n", own, first, cells[i].Exposed)
			} else {
				b.WriteString("/>\n")
			}
		}
		i += n
	}
}

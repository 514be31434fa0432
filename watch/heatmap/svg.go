package heatmap

import (
	"bufio"
	"fmt"
	"html"
	"image/color"
	"io"
)

// WriteSVG draws the picture with its axes and its scale: time to the right, addresses
// upwards.
func (m *Map) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	l, scale := m.layout(), m.Scale()
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`+"\n",
		l.width, l.height, l.width, l.height)
	title := html.EscapeString(m.Title())
	fmt.Fprintf(b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", title)
	fmt.Fprintf(b, "<text x=\"10\" y=\"24\" font-size=\"17\" font-weight=\"bold\">%s</text>\n", title)
	fmt.Fprintf(b, "<text x=\"10\" y=\"44\" fill=\"#555555\">%s</text>\n", html.EscapeString(m.subtitle()))
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" stroke=\"#555555\"/>\n<g shape-rendering=\"crispEdges\">\n",
		pixelsLeft, pixelsTop, l.wide, l.high, hexColour(unknownColour))
	for j := range m.Addresses {
		m.svgRow(b, l, scale, j)
	}
	b.WriteString("</g>\n")
	m.svgAxes(b, l)
	m.svgLegend(b, l, scale)
	b.WriteString("</svg>\n")
	return b.Flush()
}

// svgRow draws a row; neighbours of one shade are one rectangle.
func (m *Map) svgRow(b *bufio.Writer, l layout, scale Scale, j int) {
	y := pixelsTop + l.high - (j+1)*l.cellHigh
	for i := 0; i < m.Times; {
		level, n := scale.Level(m.Cell(i, j)), 1
		for i+n < m.Times && scale.Level(m.Cell(i+n, j)) == level {
			n++
		}
		if level >= 0 {
			fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", pixelsLeft+i*l.cellWide, y, n*l.cellWide, l.cellHigh, hexColour(colours[level]))
		}
		i += n
	}
}

func (m *Map) svgAxes(b *bufio.Writer, l layout) {
	bottom := pixelsTop + l.high
	for _, t := range m.timeTicks() {
		x := pixelsLeft + t.cell*l.cellWide
		fmt.Fprintf(b, "<path d=\"M%d %dv5\" stroke=\"#555555\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, bottom, x, bottom+18, t.text)
	}
	for _, t := range m.addressTicks() {
		y := bottom - t.cell*l.cellHigh
		fmt.Fprintf(b, "<path d=\"M%d %dh-5\" stroke=\"#555555\"/><text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-family=\"monospace\">%s</text>\n",
			pixelsLeft, y, pixelsLeft-8, y+4, t.text)
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", pixelsLeft+l.wide/2, bottom+36, timeAxis)
	fmt.Fprintf(b, "<text x=\"14\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 14 %d)\">%s</text>\n", pixelsTop+l.high/2, pixelsTop+l.high/2, addressAxis)
}

// The measures of the legend.
const (
	legendWide = 44
	legendHigh = 14
)

func (m *Map) svgLegend(b *bufio.Writer, l layout, scale Scale) {
	y := pixelsTop + l.high + 58
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", pixelsLeft, y-4, m.scaleText())
	for level := range Levels {
		x := pixelsLeft + level*legendWide
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/><text x=\"%d\" y=\"%d\" font-size=\"10\">%.3g</text>\n",
			x, y+2, legendWide, legendHigh, hexColour(colours[level]), x, y+legendHigh+14, scale.From(level))
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" font-size=\"10\">%.3g</text>\n", pixelsLeft+Levels*legendWide, y+legendHigh+14, max(scale.Most, 0))
}

func hexColour(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

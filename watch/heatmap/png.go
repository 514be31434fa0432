package heatmap

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// pixelsMost bounds the memory that a PNG takes, four bytes a pixel, while it is drawn.
const pixelsMost = 1 << 26

// WritePNG draws the same as [Map.WriteSVG]. Too many cells are [ErrLarge].
func (m *Map) WritePNG(w io.Writer) error {
	l, scale := m.layout(), m.Scale()
	if l.width > pixelsMost/l.height {
		return fmt.Errorf("%w: a PNG of %d times %d pixels, and at most %d", ErrLarge, l.width, l.height, pixelsMost)
	}
	p := canvas{image.NewRGBA(image.Rect(0, 0, l.width, l.height))}
	draw.Draw(p, p.Bounds(), image.White, image.Point{}, draw.Src)
	p.text(10, 20, m.Title())
	p.text(10, 40, m.subtitle())
	for i := range m.Times {
		for j := range m.Addresses {
			p.fill(pixelsLeft+i*l.cellWide, pixelsTop+l.high-(j+1)*l.cellHigh, l.cellWide, l.cellHigh, scale.colour(m.Cell(i, j)))
		}
	}
	bottom := pixelsTop + l.high
	for _, t := range m.timeTicks() {
		x := pixelsLeft + t.cell*l.cellWide
		p.fill(x, bottom, 1, 5, color.RGBA{0x55, 0x55, 0x55, 255})
		p.text(x-p.width(t.text)/2, bottom+18, t.text)
	}
	for _, t := range m.addressTicks() {
		y := bottom - t.cell*l.cellHigh
		p.fill(pixelsLeft-5, y, 5, 1, color.RGBA{0x55, 0x55, 0x55, 255})
		p.text(pixelsLeft-8-p.width(t.text), y+4, t.text)
	}
	p.text(pixelsLeft+l.wide/2-p.width(timeAxis)/2, bottom+36, timeAxis)
	p.text(pixelsLeft-8-p.width(addressAxis), pixelsTop-10, addressAxis)
	y := bottom + 58
	p.text(pixelsLeft, y-4, m.scaleText())
	for level := range Levels {
		x := pixelsLeft + level*legendWide
		p.fill(x, y+2, legendWide, legendHigh, colours[level])
		p.text(x, y+legendHigh+14, fmt.Sprintf("%.2g", scale.From(level)))
	}
	p.text(pixelsLeft+Levels*legendWide, y+legendHigh+14, fmt.Sprintf("%.2g", max(scale.Most, 0)))
	return png.Encode(w, p)
}

// canvas is an image with text.
type canvas struct{ *image.RGBA }

func (p canvas) fill(x, y, wide, high int, c color.RGBA) {
	draw.Draw(p, image.Rect(x, y, x+wide, y+high), image.NewUniform(c), image.Point{}, draw.Src)
}

func (p canvas) text(x, y int, text string) {
	d := font.Drawer{Dst: p, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

func (p canvas) width(text string) int {
	return font.MeasureString(basicfont.Face7x13, text).Ceil()
}

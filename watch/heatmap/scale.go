package heatmap

import (
	"image/color"
	"math"
)

// Levels is how many shades there are.
const Levels = 10

// Scale says which shade a value has: level 0 begins at 0 accesses, and the last level ends at
// Most. Pictures with the same Most can be compared.
type Scale struct{ Most float64 }

// Scale is up to the hottest cell. Where nothing is known, Most is -Inf.
func (m *Map) Scale() Scale {
	most := math.Inf(-1)
	for _, c := range m.cells {
		if !math.IsNaN(c) {
			most = max(most, c)
		}
	}
	return Scale{most}
}

// Level is the shade of a value, -1 of what is not known.
func (s Scale) Level(value float64) int {
	switch {
	case math.IsNaN(value):
		return -1
	case s.Most <= 0 || value <= 0:
		return 0
	}
	return min(int(value/s.Most*Levels), Levels-1)
}

// From is the least value of a level.
func (s Scale) From(level int) float64 { return max(s.Most, 0) * float64(level) / Levels }

// colours are of the levels, dark to light, so that they can be told apart without colours,
// too.
var colours = [Levels]color.RGBA{
	{0x00, 0x00, 0x2a, 255}, {0x1d, 0x0c, 0x45, 255}, {0x42, 0x0a, 0x68, 255}, {0x6a, 0x17, 0x6e, 255}, {0x93, 0x26, 0x67, 255},
	{0xbc, 0x37, 0x54, 255}, {0xdd, 0x51, 0x3a, 255}, {0xf3, 0x78, 0x19, 255}, {0xfc, 0xa5, 0x0a, 255}, {0xf6, 0xe8, 0x60, 255},
}

// unknownColour is of cells that nothing is known of.
var unknownColour = color.RGBA{0xd8, 0xd8, 0xd8, 255}

func (s Scale) colour(value float64) color.RGBA {
	if level := s.Level(value); level >= 0 {
		return colours[level]
	}
	return unknownColour
}

package heatmap

import (
	"math"
	"math/big"
	"math/bits"
)

// number is a time in nanoseconds: whole, and then exact, or a float64. Where damo's
// numbers are whole, sums and products of them are exact however large, and rounded once;
// where they are not, each step is rounded.
type number struct {
	whole bool
	i     int64
	f     float64
}

func whole(i int64) number        { return number{whole: true, i: i} }
func fraction(f float64) number   { return number{f: f} }
func (n number) float() float64   { return pick(n.whole, float64(n.i), n.f) }
func (n number) truncated() int64 { return pick(n.whole, n.i, int64(n.f)) }

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func (n number) plus(m number) number {
	if n.whole && m.whole {
		return whole(n.i + m.i)
	}
	return fraction(n.float() + m.float())
}

func (n number) minus(m number) number {
	if n.whole && m.whole {
		return whole(n.i - m.i)
	}
	return fraction(n.float() - m.float())
}

func (n number) times(k int) number {
	if n.whole {
		return whole(n.i * int64(k))
	}
	return fraction(n.f * float64(k))
}

// less compares exactly.
func (n number) less(m number) bool {
	switch {
	case n.whole && m.whole:
		return n.i < m.i
	case !n.whole && !m.whole:
		return n.f < m.f
	case n.whole:
		return compare(n.i, m.f) < 0
	}
	return compare(m.i, n.f) > 0
}

// compare compares a whole number with another; all times are far below 2^63.
func compare(i int64, f float64) int {
	switch t := int64(f); {
	case i < t:
		return -1
	case i > t:
		return 1
	}
	rest := f - math.Trunc(f)
	switch {
	case rest > 0:
		return -1
	case rest < 0:
		return 1
	}
	return 0
}

// later and earlier return the first of two that are the same.
func later(n, m number) number   { return pick(n.less(m), m, n) }
func earlier(n, m number) number { return pick(m.less(n), m, n) }

// over is the quotient as an index: rounded to a float64, then down. (damo cuts it off, so
// that what lies before the range counts in its first cell, with a time below 0.)
func (n number) over(m number) int64 {
	if n.whole && m.whole {
		return int64(math.Floor(quotient(n.i, m.i)))
	}
	return int64(math.Floor(n.float() / m.float()))
}

const exact = 1 << 53 // whole numbers up to it are float64s

// quotient is the float64 that is nearest to the true quotient.
func quotient(a, b int64) float64 {
	if -exact <= a && a <= exact && -exact <= b && b <= exact {
		return float64(a) / float64(b)
	}
	q, _ := new(big.Rat).SetFrac(big.NewInt(a), big.NewInt(b)).Float64()
	return q
}

// floorOver divides by a whole number, and rounds down.
func (n number) floorOver(k int) number {
	if n.whole {
		q := n.i / int64(k)
		if n.i%int64(k) < 0 {
			q--
		}
		return whole(q)
	}
	rest := math.Mod(n.f, float64(k))
	q := (n.f - rest) / float64(k)
	if rest < 0 {
		q--
	}
	return fraction(math.Round(q)) // q is whole but for its rounding
}

// product is the float64 that is nearest to the true product of whole numbers; b alone may be
// below 0.
func product(a uint64, b, c int64) float64 {
	sign := 1.0
	if b < 0 {
		sign, b = -sign, -b
	}
	if c < 0 {
		sign, c = -sign, -c
	}
	over, ab := bits.Mul64(a, uint64(b))
	if over != 0 {
		p := new(big.Int).Mul(new(big.Int).SetUint64(a), big.NewInt(b))
		f, _ := new(big.Float).SetInt(p.Mul(p, big.NewInt(c))).Float64()
		return sign * f
	}
	high, low := bits.Mul64(ab, uint64(c))
	return sign * nearest(high, low)
}

// nearest is the float64 that is nearest to a number of 128 bits.
func nearest(high, low uint64) float64 {
	if high == 0 {
		return float64(low)
	}
	shift := bits.LeadingZeros64(high)
	top := high << shift
	if shift > 0 {
		top |= low >> (64 - shift)
	}
	if low<<shift != 0 {
		top |= 1 // what is cut off still says to which side is nearer
	}
	return math.Ldexp(float64(top), 64-shift)
}

package heatmap

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// Products and quotients are those of exact arithmetic, rounded once.
func TestExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	large := func() int64 { return r.Int64() >> r.IntN(63) * int64(1-2*r.IntN(2)) }
	steps := 0
	for range 20000 {
		a, b, c := r.Uint64()>>r.IntN(64), large(), large()
		p := new(big.Int).Mul(new(big.Int).SetUint64(a), big.NewInt(b))
		want, _ := new(big.Float).SetInt(p.Mul(p, big.NewInt(c))).Float64()
		if got := product(a, b, c); got != want {
			t.Fatalf("%d × %d × %d = %v, want %v", a, b, c, got, want)
		}
		if want != float64(a)*float64(b)*float64(c) {
			steps++
		}
		if c == 0 {
			continue
		}
		q, _ := new(big.Rat).SetFrac64(b, c).Float64()
		if got := quotient(b, c); got != q {
			t.Fatalf("%d / %d = %v, want %v", b, c, got, q)
		}
	}
	// Half way between two float64s, and a little more.
	if got, want := nearest(1<<63|1<<10, 1), math.Ldexp(1<<63|1<<11, 64); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if steps == 0 {
		t.Error("rounding each step made no difference: the test shows nothing")
	}
}

func TestNumbers(t *testing.T) {
	const far = 1 << 60
	for i, c := range []struct{ got, want any }{
		{whole(far).plus(whole(1)), whole(far + 1)},
		{whole(far).plus(fraction(1)), fraction(far)}, // rounded
		{whole(7).minus(fraction(0.5)), fraction(6.5)},
		{whole(far).times(3), whole(3 * far)},
		{fraction(1.5).times(3), fraction(4.5)},
		{whole(far).less(fraction(far)), false},
		{whole(far - 1).less(fraction(far)), true}, // exact, though both are the same float64
		{fraction(far).less(whole(far + 1)), true},
		{fraction(0.5).less(whole(0)), false},
		{whole(0).less(fraction(0.5)), true},
		{whole(0).less(fraction(-0.5)), false},
		{whole(-1).less(fraction(-0.5)), true},
		{fraction(1).less(fraction(2)), true},
		{later(whole(5), fraction(5)), whole(5)}, // the first of two that are the same
		{later(fraction(5), whole(5)), fraction(5)},
		{earlier(whole(5), fraction(5)), whole(5)},
		{earlier(whole(6), fraction(5)), fraction(5)},
		{whole(-7).over(whole(2)), int64(-4)}, // rounded down
		{fraction(-0.1).over(whole(2)), int64(-1)},
		{fraction(7.9).over(whole(2)), int64(3)},
		{whole(-7).floorOver(2), whole(-4)}, // rounded down
		{whole(7).floorOver(2), whole(3)},
		{fraction(-7).floorOver(2), fraction(-4)},
		{fraction(7.5).floorOver(2), fraction(3)},
		{fraction(1e15 + 0.5).floorOver(40), fraction(25e12)},
		{whole(-8).floorOver(2), whole(-4)},
		{fraction(2.9).truncated(), int64(2)},
	} {
		if c.got != c.want {
			t.Errorf("%d: %v, want %v", i, c.got, c.want)
		}
	}
	if math.IsNaN(whole(1).float()) {
		t.Error("a number is none")
	}
}

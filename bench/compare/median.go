package compare

import (
	"cmp"
	"slices"

	"github.com/safevma/safevma/bench/measure"
)

// perOp is how many nanoseconds an operation took.
func perOp(m measure.Measure, c Clock) float64 {
	took := m.CPU
	if c == Wall {
		took = m.Wall
	}
	return float64(took.Nanoseconds()) / float64(max(m.Ops, 1))
}

// spread is the median of some values, and their extremes.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	values = slices.Sorted(slices.Values(values))
	middle := values[len(values)/2]
	if len(values)%2 == 0 {
		middle = (middle + values[len(values)/2-1]) / 2
	}
	return spread{middle, values[0], values[len(values)-1]}
}

// times is what an operation took in all rounds.
func (o Outcome) times(name string, c Clock) spread {
	var values []float64
	for _, measures := range o.Rounds {
		if m, ok := measures[name]; ok {
			values = append(values, perOp(m, c))
		}
	}
	return spreadOf(values)
}

// ratio is how many times longer an operation took than that of the first contender in the
// same round. Nothing, where one of the two has nothing.
func (o Outcome) ratio(w Work, c Clock, first Outcome) (spread, bool) {
	against := cmp.Or(w.Against, w.Measure)
	var values []float64
	for i := range min(len(o.Rounds), len(first.Rounds)) {
		mine, ok := o.Rounds[i][w.Measure]
		its, too := first.Rounds[i][against]
		if ok && too {
			values = append(values, perOp(mine, c)/perOp(its, c))
		}
	}
	return spreadOf(values), len(values) > 0
}

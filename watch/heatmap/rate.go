package heatmap

import (
	"math"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// rates is what it takes to say how often something was accessed in a second.
type rates struct {
	context *recording.Context
	sample  uint64 // as the kernel tuned it last; 0 where it did not
}

func (r rates) known() bool { return r.context != nil && r.context.Intervals.Aggr > 0 }

// near: an aggregation that took so much longer or shorter was not tuned.
const near = 0.1

// seconds is how long the aggregation was in which accesses were counted. Where the kernel
// tunes the intervals: by the sampling interval that it told, otherwise by how long the
// snapshot took.
func (r rates) seconds(e *damon.Snapshot, start number) float64 {
	in := &r.context.Intervals
	aggr := float64(in.Aggr)
	if in.Goal == nil || in.Goal.Aggrs == 0 || in.Sample == 0 {
		return aggr / 1e6
	}
	if r.sample != 0 {
		return float64(r.sample) * (aggr / float64(in.Sample)) / 1e6
	}
	took := whole(e.End).minus(start).float() / 1000
	if math.Abs(took-aggr)/aggr < near || took <= 0 {
		return aggr / 1e6
	}
	return took / 1e6
}

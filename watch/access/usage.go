package access

import (
	"fmt"
	"slices"

	"github.com/safevma/safevma/watch/recording"
)

// FootprintSchema names the JSON form of [Footprints].
const FootprintSchema = "safevma.damon-footprint/v1"

// Footprints are how much memory the host and processes used.
type Footprints struct {
	Schema string      `json:"schema"`
	Of     []Footprint `json:"footprints"`
}

// Footprint is of the host (PID 0) or a process.
type Footprint struct {
	PID     int `json:"pid"`
	Samples int `json:"samples"`
	// Resident is what was in memory: of the host, what was not free.
	Resident []Percentile `json:"resident"`
	Size     []Percentile `json:"size"` // the address space: of the host, its memory
	Shared   []Percentile `json:"shared"`
}

// ReadFootprints reads a recording; imported ones have none ([ErrNothing]).
func ReadFootprints(src Source) (*Footprints, error) {
	type lists struct{ size, resident, shared []uint64 }
	by := map[int]*lists{}
	var order []int
	err := src(func(e recording.Entry) error {
		f, ok := e.(*recording.Footprint)
		if !ok {
			return nil
		}
		l := by[f.PID]
		if l == nil {
			l = &lists{}
			by[f.PID] = l
			order = append(order, f.PID)
		}
		l.size, l.resident, l.shared = append(l.size, f.Size), append(l.resident, f.Resident), append(l.shared, f.Shared)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("%w: no footprint", ErrNothing)
	}
	out := &Footprints{Schema: FootprintSchema}
	for _, pid := range order {
		l := by[pid]
		for _, list := range [][]uint64{l.size, l.resident, l.shared} {
			slices.Sort(list)
		}
		out.Of = append(out.Of, Footprint{PID: pid, Samples: len(l.size), Resident: percentiles(l.resident, sizePercents),
			Size: percentiles(l.size, sizePercents), Shared: percentiles(l.shared, sizePercents)})
	}
	return out, nil
}

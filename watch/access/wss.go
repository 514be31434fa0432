package access

import (
	"fmt"
	"slices"

	"github.com/safevma/safevma/watch/recording"
)

// WSSSchema names the JSON form of [WorkingSets].
const WSSSchema = "safevma.damon-wss/v1"

// WSSOptions say what counts as the working set.
type WSSOptions struct {
	// Accesses is how often a region must have been accessed in an aggregation; 0 is once.
	Accesses uint64
	// Skip leaves out so many snapshots of each target: those in which DAMON still looks
	// for good regions.
	Skip int
}

// WorkingSets are the sizes of the working sets of each target.
type WorkingSets struct {
	Schema   string       `json:"schema"`
	Accesses uint64       `json:"min_accesses"`
	Targets  []WorkingSet `json:"targets"`
}

// WorkingSet is how much memory of a target was accessed in each aggregation.
type WorkingSet struct {
	Thread  int                `json:"thread"`
	Target  uint64             `json:"target"`
	Context *recording.Context `json:"context"`
	// Snapshots are those that count; Partial ones lack regions, and don't.
	Snapshots int    `json:"snapshots"`
	Partial   int    `json:"partial_snapshots"`
	Average   uint64 `json:"average_bytes"`
	// BySize are percentiles of the sizes; ByTime are sizes after so many per cent of the
	// time.
	BySize []Percentile `json:"by_size"`
	ByTime []Percentile `json:"by_time"`
}

// Percentile is the size at so many per cent.
type Percentile struct {
	Percent int    `json:"percent"`
	Bytes   uint64 `json:"bytes"`
}

var (
	sizePercents = []int{0, 25, 50, 75, 95, 99, 100}
	timePercents = []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}
)

// ReadWSS reads a recording. No whole snapshot is [ErrNothing].
func ReadWSS(src Source, o WSSOptions) (*WorkingSets, error) {
	if o.Accesses == 0 {
		o.Accesses = 1
	}
	w := &wss{options: o, by: map[key]*sizes{}}
	if err := src(w.add); err != nil {
		return nil, err
	}
	out := &WorkingSets{Schema: WSSSchema, Accesses: o.Accesses, Targets: []WorkingSet{}}
	for _, s := range w.order {
		if s.list = s.list[min(o.Skip, len(s.list)):]; len(s.list) > 0 {
			out.Targets = append(out.Targets, s.report())
		}
	}
	if len(out.Targets) == 0 {
		return nil, fmt.Errorf("%w: no whole snapshot, or all are left out", ErrNothing)
	}
	return out, nil
}

// wss collects a size of each snapshot.
type wss struct {
	tracker
	options WSSOptions
	by      map[key]*sizes
	order   []*sizes
}

type sizes struct {
	of      key
	context *recording.Context
	list    []uint64
	partial int
}

func (w *wss) add(e recording.Entry) error {
	w.tracker.add(e)
	snapshot, ok := e.(*recording.Snapshot)
	if !ok {
		return nil
	}
	of := key{snapshot.Thread, snapshot.Target}
	s := w.by[of]
	if s == nil {
		s = &sizes{of: of}
		w.by[of] = s
		w.order = append(w.order, s)
	}
	if !snapshot.Whole() {
		s.partial++
		return nil
	}
	unit := uint64(1)
	if s.context = w.contexts[snapshot.Thread]; s.context != nil {
		unit = max(s.context.AddrUnit, 1)
	}
	size := uint64(0)
	for _, r := range snapshot.Regions {
		if r.Accesses >= w.options.Accesses {
			size += r.Size() * unit
		}
	}
	s.list = append(s.list, size)
	return nil
}

func (s *sizes) report() WorkingSet {
	w := WorkingSet{Thread: s.of.thread, Target: s.of.target, Context: s.context, Snapshots: len(s.list), Partial: s.partial}
	sum := 0.0
	for _, n := range s.list {
		sum += float64(n)
	}
	w.Average = uint64(sum / float64(len(s.list)))
	w.ByTime = percentiles(s.list, timePercents)
	slices.Sort(s.list)
	w.BySize = percentiles(s.list, sizePercents)
	return w
}

// percentiles takes of a list what stands after so many per cent of it.
func percentiles(list []uint64, percents []int) []Percentile {
	var out []Percentile
	for _, p := range percents {
		out = append(out, Percentile{p, list[min(p*len(list)/100, len(list)-1)]})
	}
	return out
}

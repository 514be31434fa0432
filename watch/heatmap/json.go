package heatmap

import (
	"math"

	"github.com/safevma/safevma/watch/recording"
)

// Schema names the JSON form of a [Map].
const Schema = "safevma.damon-heatmap/v1"

// Report is a picture for machines.
type Report struct {
	Schema  string             `json:"schema"`
	Thread  int                `json:"thread"`
	Target  uint64             `json:"target"`
	Context *recording.Context `json:"context"` // null where it is not known
	Unit    Unit               `json:"unit"`
	// Start is of CLOCK_MONOTONIC, in nanoseconds; each cell is of TimeUnit nanoseconds
	// and AddressUnit units of addresses.
	Start       int64   `json:"start_ns"`
	TimeUnit    float64 `json:"time_unit_ns"`
	Address     uint64  `json:"address"`
	AddressUnit uint64  `json:"address_unit"`
	// Snapshots are how many the recording has of this target.
	Snapshots int `json:"snapshots"`
	Partial   int `json:"partial_snapshots"`
	// Cells are by time, then by address; null where nothing is known.
	Cells [][]*float64 `json:"cells"`
}

// Report returns the picture for machines.
func (m *Map) Report() *Report {
	r := &Report{Schema: Schema, Thread: m.Stream.Thread, Target: m.Stream.Target, Context: m.Stream.Context, Unit: m.Unit,
		Start: m.Time(0), TimeUnit: m.Span(), Address: m.Range.Start, AddressUnit: m.Size(), Snapshots: m.Stream.Snapshots, Partial: m.Stream.Partial}
	for i := range m.Times {
		column := make([]*float64, m.Addresses)
		for j := range column {
			if c := m.Cell(i, j); !math.IsNaN(c) {
				column[j] = &c
			}
		}
		r.Cells = append(r.Cells, column)
	}
	return r
}

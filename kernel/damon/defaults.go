package damon

import "math"

// NewKdamond returns a kdamond that is to be on, with one context of these operations and of
// no targets, and the intervals that the kernel proposes.
func NewKdamond(by Operations) Kdamond {
	return Kdamond{State: On, PID: -1, Contexts: []Context{NewContext(by)}}
}

// NewContext returns a context as the kernel makes it, with these operations.
func NewContext(by Operations) Context {
	return Context{Operations: by, Targets: []Target{}, Schemes: []Scheme{},
		Attrs: Attributes{Intervals{Sample: 5000, Aggr: 100_000, Update: 60_000_000, Goal: nil}, Range{10, 1000}}}
}

// NewScheme returns a scheme for all memory, without quotas and filters.
func NewScheme(a Action) Scheme {
	return Scheme{Action: a, Pattern: Pattern{Range{0, math.MaxUint64}, Range{0, math.MaxUint32}, Range{0, math.MaxUint32}},
		Watermarks: Watermarks{Metric: NoWatermark}}
}

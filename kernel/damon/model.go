package damon

// The fields follow the tree. The tag "file" is the name in the directory of the struct; for
// lists, the directory and the file with their number. What is behind a pointer, and lists
// that are "optional", came to the interface (Linux 5.18) later, with the version in "since":
// nil where this kernel has no such file. The "mode" says what is not simply written: "ro" is
// the kernel's to say, "command" takes commands. The "usual" value is what a kernel does that has
// no such file, where that is not 0, N or nothing.

// Kdamond is a thread that watches.
type Kdamond struct {
	State State `file:"state" mode:"command" json:"state"`
	// PID is of the thread; -1 where it does not run.
	PID int `file:"pid" mode:"ro" json:"pid"`
	// RefreshMS is after how many milliseconds the kernel itself updates what it shows; 0
	// is never.
	RefreshMS *uint64   `file:"refresh_ms" since:"6.17" json:"refresh_ms,omitempty"`
	Contexts  []Context `file:"contexts,nr_contexts" json:"contexts"`
}

// Context is what a kdamond watches, and how.
type Context struct {
	Available  []Operations `file:"avail_operations,optional" since:"5.19" mode:"ro" json:"avail_operations,omitzero"`
	Operations Operations   `file:"operations" json:"operations"`
	// AddrUnit: addresses and sizes are this many bytes each.
	AddrUnit *uint64    `file:"addr_unit" since:"6.18" usual:"1" json:"addr_unit,omitempty"`
	Pause    *bool      `file:"pause" since:"after 7.1" json:"pause,omitempty"`
	Attrs    Attributes `file:"monitoring_attrs" json:"monitoring_attrs"`
	Targets  []Target   `file:"targets,nr_targets" json:"targets"`
	Schemes  []Scheme   `file:"schemes,nr_schemes" json:"schemes"`
}

// Attributes say how closely is watched.
type Attributes struct {
	Intervals Intervals `file:"intervals" json:"intervals"`
	Regions   Range     `file:"nr_regions" json:"nr_regions"`
}

// Intervals are in microseconds.
type Intervals struct {
	Sample uint64         `file:"sample_us" json:"sample_us"`
	Aggr   uint64         `file:"aggr_us" json:"aggr_us"`
	Update uint64         `file:"update_us" json:"update_us"`
	Goal   *IntervalsGoal `file:"intervals_goal" since:"6.15" json:"intervals_goal,omitempty"`
}

// IntervalsGoal tunes the intervals; it is off where Aggrs is 0.
type IntervalsGoal struct {
	AccessBP  uint64 `file:"access_bp" json:"access_bp"`
	Aggrs     uint64 `file:"aggrs" json:"aggrs"`
	MinSample uint64 `file:"min_sample_us" json:"min_sample_us"`
	MaxSample uint64 `file:"max_sample_us" json:"max_sample_us"`
}

// Range is closed: both ends are in it.
type Range struct {
	Min uint64 `file:"min" json:"min"`
	Max uint64 `file:"max" json:"max"`
}

// Has reports whether n is in the range.
func (r Range) Has(n uint64) bool { return r.Min <= n && n <= r.Max }

// Target is a process, or with [PAddr] physical memory.
type Target struct {
	PID      int          `file:"pid_target" json:"pid_target"`
	Obsolete *bool        `file:"obsolete_target" since:"6.19" json:"obsolete_target,omitempty"`
	Regions  []AddrRegion `file:"regions,nr_regions" json:"regions"`
}

// AddrRegion is half open: End is not in it.
type AddrRegion struct {
	Start uint64 `file:"start" json:"start"`
	End   uint64 `file:"end" json:"end"`
}

// Scheme is what is to be done with memory of an access pattern.
type Scheme struct {
	Action Action `file:"action" json:"action"`
	// TargetNID is the node that memory is migrated to, -1 for none.
	TargetNID *int `file:"target_nid" since:"6.11" usual:"-1" json:"target_nid,omitempty"`
	// ApplyInterval is in microseconds; 0 is the aggregation interval.
	ApplyInterval *uint64    `file:"apply_interval_us" since:"6.7" json:"apply_interval_us,omitempty"`
	Pattern       Pattern    `file:"access_pattern" json:"access_pattern"`
	Quotas        Quotas     `file:"quotas" json:"quotas"`
	Watermarks    Watermarks `file:"watermarks" json:"watermarks"`
	CoreFilters   []Filter   `file:"core_filters,nr_filters,optional" since:"6.15" json:"core_filters,omitzero"`
	OpsFilters    []Filter   `file:"ops_filters,nr_filters,optional" since:"6.15" json:"ops_filters,omitzero"`
	// Filters is the older directory: of any type, behind the others of their layer.
	Filters []Filter      `file:"filters,nr_filters,optional" since:"6.3" json:"filters,omitzero"`
	Dests   []Dest        `file:"dests,nr_dests,optional" since:"6.17" json:"dests,omitzero"`
	Stats   Stats         `file:"stats" json:"stats"`
	Tried   *TriedRegions `file:"tried_regions" since:"6.2" mode:"ro" json:"tried_regions,omitempty"`
}

// Pattern is which regions a scheme is for.
type Pattern struct {
	Size     Range `file:"sz" json:"sz"` // bytes, or units
	Accesses Range `file:"nr_accesses" json:"nr_accesses"`
	Age      Range `file:"age" json:"age"` // aggregation intervals
}

// Quotas limit what a scheme does within each reset interval; 0 is no limit.
type Quotas struct {
	MS      uint64 `file:"ms" json:"ms"`
	Bytes   uint64 `file:"bytes" json:"bytes"`
	ResetMS uint64 `file:"reset_interval_ms" json:"reset_interval_ms"`
	// Effective is in bytes, as last updated.
	Effective *uint64 `file:"effective_bytes" since:"6.9" mode:"ro" json:"effective_bytes,omitempty"`
	GoalTuner *string `file:"goal_tuner" since:"7.1" usual:"consist" json:"goal_tuner,omitempty"`
	FailNum   *uint64 `file:"fail_charge_num" since:"after 7.1" json:"fail_charge_num,omitempty"`
	FailDenom *uint64 `file:"fail_charge_denom" since:"after 7.1" json:"fail_charge_denom,omitempty"`
	Weights   Weights `file:"weights" json:"weights"`
	Goals     []Goal  `file:"goals,nr_goals,optional" since:"6.8" json:"goals,omitzero"`
}

// Weights say what counts when a quota does not reach for all, per mille.
type Weights struct {
	Size     uint64 `file:"sz_permil" json:"sz_permil"`
	Accesses uint64 `file:"nr_accesses_permil" json:"nr_accesses_permil"`
	Age      uint64 `file:"age_permil" json:"age_permil"`
}

// Goal tunes a quota.
type Goal struct {
	Metric  *GoalMetric `file:"target_metric" since:"6.9" usual:"user_input" json:"target_metric,omitempty"`
	Target  uint64      `file:"target_value" json:"target_value"`
	Current uint64      `file:"current_value" json:"current_value"`
	NID     *int        `file:"nid" since:"6.16" json:"nid,omitempty"`
	Path    *string     `file:"path" since:"6.19" json:"path,omitempty"`
}

// Watermarks switch a scheme on and off.
type Watermarks struct {
	Metric   WatermarkMetric `file:"metric" json:"metric"`
	Interval uint64          `file:"interval_us" json:"interval_us"`
	High     uint64          `file:"high" json:"high"`
	Mid      uint64          `file:"mid" json:"mid"`
	Low      uint64          `file:"low" json:"low"`
}

// Filter allows or rejects memory. Which of the fields behind Allow count depends on the
// type.
type Filter struct {
	Type FilterType `file:"type" json:"type"`
	// Matching is whether it is for memory of the type, or for other memory.
	Matching bool `file:"matching" json:"matching"`
	// Allow is nil where this kernel's filters all reject.
	Allow     *bool   `file:"allow" since:"6.14" json:"allow,omitempty"`
	Memcg     string  `file:"memcg_path" json:"memcg_path"` // from the mount of cgroups
	AddrStart *uint64 `file:"addr_start" since:"6.6" json:"addr_start,omitempty"`
	AddrEnd   *uint64 `file:"addr_end" since:"6.6" json:"addr_end,omitempty"` // not in it
	Target    *int    `file:"damon_target_idx" since:"6.6" json:"damon_target_idx,omitempty"`
	Min       *uint64 `file:"min" since:"6.15" json:"min,omitempty"` // bytes
	Max       *uint64 `file:"max" since:"6.15" json:"max,omitempty"` // bytes; in it
}

// Allows reports whether the filter allows what it matches.
func (f Filter) Allows() bool { return f.Allow != nil && *f.Allow }

// Dest is a node that memory is migrated to.
type Dest struct {
	ID     uint64 `file:"id" json:"id"`
	Weight uint64 `file:"weight" json:"weight"`
}

// Stats are what a scheme did, as last updated.
type Stats struct {
	Tried        uint64  `file:"nr_tried" mode:"ro" json:"nr_tried"`
	SizeTried    uint64  `file:"sz_tried" mode:"ro" json:"sz_tried"`
	Applied      uint64  `file:"nr_applied" mode:"ro" json:"nr_applied"`
	SizeApplied  uint64  `file:"sz_applied" mode:"ro" json:"sz_applied"`
	SizePassed   *uint64 `file:"sz_ops_filter_passed" since:"6.14" mode:"ro" json:"sz_ops_filter_passed,omitempty"`
	QuotaExceeds uint64  `file:"qt_exceeds" mode:"ro" json:"qt_exceeds"`
	Snapshots    *uint64 `file:"nr_snapshots" since:"7.0" mode:"ro" json:"nr_snapshots,omitempty"`
	MaxSnapshots *uint64 `file:"max_nr_snapshots" since:"7.0" json:"max_nr_snapshots,omitempty"`
}

// TriedRegions are the regions that a scheme tried, as last updated.
type TriedRegions struct {
	Total   *uint64       `file:"total_bytes" since:"6.6" json:"total_bytes,omitempty"`
	Regions []TriedRegion `file:".,*" json:"regions"`
}

// TriedRegion is one of them.
type TriedRegion struct {
	Start    uint64  `file:"start" json:"start"`
	End      uint64  `file:"end" json:"end"`
	Accesses uint64  `file:"nr_accesses" json:"nr_accesses"`
	Age      uint64  `file:"age" json:"age"`
	Passed   *uint64 `file:"sz_filter_passed" since:"6.14" json:"sz_filter_passed,omitempty"`
}

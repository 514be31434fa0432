package damon

import "slices"

// Operations are how memory is watched.
type Operations string

// The operations.
const (
	VAddr  Operations = "vaddr"  // the mappings of processes
	FVAddr Operations = "fvaddr" // fixed ranges of the addresses of processes
	PAddr  Operations = "paddr"  // physical memory
)

// State is whether a kdamond runs.
type State string

// The states.
const (
	On  State = "on"
	Off State = "off"
)

// Action is what a scheme does to memory.
type Action string

// The actions.
const (
	WillNeed    Action = "willneed"
	Cold        Action = "cold"
	PageOut     Action = "pageout"
	HugePage    Action = "hugepage"
	NoHugePage  Action = "nohugepage"
	Collapse    Action = "collapse"
	LRUPrio     Action = "lru_prio"
	LRUDeprio   Action = "lru_deprio"
	MigrateHot  Action = "migrate_hot"
	MigrateCold Action = "migrate_cold"
	Stat        Action = "stat" // counts, and changes nothing
)

var (
	physicalActions = []Action{PageOut, LRUPrio, LRUDeprio, MigrateHot, MigrateCold, Stat}
	virtualActions  = []Action{WillNeed, Cold, PageOut, HugePage, NoHugePage, Collapse, MigrateHot, MigrateCold, Stat}
)

// Migrates reports whether the action moves memory to another node.
func (a Action) Migrates() bool { return a == MigrateHot || a == MigrateCold }

func (a Action) known() bool {
	return slices.Contains(physicalActions, a) || slices.Contains(virtualActions, a)
}

// Does reports whether these operations carry out an action; the kernel takes any of
// them, and ignores what it can't do. False, false where one of both is not known here.
func (o Operations) Does(a Action) (does, known bool) {
	switch {
	case !a.known():
		return false, false
	case o == PAddr:
		return slices.Contains(physicalActions, a), true
	case o == VAddr || o == FVAddr:
		return slices.Contains(virtualActions, a), true
	}
	return false, false
}

// filters reports whether these operations look at the filters of the operations layer
// when they carry out an action.
func (o Operations) filters(a Action) bool {
	if o == VAddr || o == FVAddr {
		return a.Migrates() || a == Stat // Linux 6.17 and 6.18: before, not at all
	}
	return true
}

// FilterType is what a filter looks at.
type FilterType string

// The types. The core handles the first two, the operations the others.
const (
	FilterAddr     FilterType = "addr"
	FilterTarget   FilterType = "target"
	FilterAnon     FilterType = "anon"
	FilterActive   FilterType = "active"
	FilterMemcg    FilterType = "memcg"
	FilterYoung    FilterType = "young" // takes the accessed bit away from what matches
	FilterHugePage FilterType = "hugepage_size"
	FilterUnmapped FilterType = "unmapped"
)

var (
	coreTypes = []FilterType{FilterAddr, FilterTarget}
	opsTypes  = []FilterType{FilterAnon, FilterActive, FilterMemcg, FilterYoung, FilterHugePage, FilterUnmapped}
)

// Core reports whether the core handles filters of this type, for regions; otherwise the
// operations do, for pages.
func (t FilterType) Core() bool { return slices.Contains(coreTypes, t) }

func (t FilterType) known() bool { return t.Core() || slices.Contains(opsTypes, t) }

// GoalMetric is what a goal of a quota measures.
type GoalMetric string

// The metrics. Those of memory are in basis points (1/10000).
const (
	UserInput       GoalMetric = "user_input"
	SomeMemPSI      GoalMetric = "some_mem_psi_us"
	NodeMemUsed     GoalMetric = "node_mem_used_bp"
	NodeMemFree     GoalMetric = "node_mem_free_bp"
	NodeMemcgUsed   GoalMetric = "node_memcg_used_bp"
	NodeMemcgFree   GoalMetric = "node_memcg_free_bp"
	ActiveMem       GoalMetric = "active_mem_bp"
	InactiveMem     GoalMetric = "inactive_mem_bp"
	NodeEligibleMem GoalMetric = "node_eligible_mem_bp"
)

var goalMetrics = []GoalMetric{UserInput, SomeMemPSI, NodeMemUsed, NodeMemFree, NodeMemcgUsed, NodeMemcgFree, ActiveMem, InactiveMem,
	NodeEligibleMem}

// WatermarkMetric is what watermarks are compared with.
type WatermarkMetric string

// The metrics.
const (
	NoWatermark WatermarkMetric = "none"
	FreeMemRate WatermarkMetric = "free_mem_rate" // per mille
)

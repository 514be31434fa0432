package damon

import (
	"path/filepath"
	"reflect"
	"slices"
)

// Modules are the parts of the kernel that use DAMON by themselves; nil where this kernel
// was built without one. At most one of them and the interface may watch at a time.
type Modules struct {
	Reclaim *ReclaimModule `json:"reclaim,omitempty"`  // 5.16
	LRUSort *LRUSortModule `json:"lru_sort,omitempty"` // 6.0
	Stat    *StatModule    `json:"stat,omitempty"`     // 6.17
	// Unknown are parameters that this package does not know.
	Unknown []string `json:"unknown_files"`
}

// ModuleWatch is what the modules that act have in common.
type ModuleWatch struct {
	Commit        *bool   `file:"commit_inputs" json:"commit_inputs,omitempty"`
	QuotaMS       *uint64 `file:"quota_ms" json:"quota_ms,omitempty"`
	QuotaSize     *uint64 `file:"quota_sz" json:"quota_sz,omitempty"` // bytes
	QuotaResetMS  *uint64 `file:"quota_reset_interval_ms" json:"quota_reset_interval_ms,omitempty"`
	WmarkInterval *uint64 `file:"wmarks_interval" json:"wmarks_interval,omitempty"` // microseconds
	WmarkHigh     *uint64 `file:"wmarks_high" json:"wmarks_high,omitempty"`         // per mille, as the next two
	WmarkMid      *uint64 `file:"wmarks_mid" json:"wmarks_mid,omitempty"`
	WmarkLow      *uint64 `file:"wmarks_low" json:"wmarks_low,omitempty"`
	Sample        *uint64 `file:"sample_interval" json:"sample_interval,omitempty"` // microseconds
	Aggr          *uint64 `file:"aggr_interval" json:"aggr_interval,omitempty"`     // microseconds
	MinRegions    *uint64 `file:"min_nr_regions" json:"min_nr_regions,omitempty"`
	MaxRegions    *uint64 `file:"max_nr_regions" json:"max_nr_regions,omitempty"`
	Start         *uint64 `file:"monitor_region_start" json:"monitor_region_start,omitempty"`
	End           *uint64 `file:"monitor_region_end" json:"monitor_region_end,omitempty"`
	AddrUnit      *uint64 `file:"addr_unit" json:"addr_unit,omitempty"`
	KdamondPID    *int    `file:"kdamond_pid" json:"kdamond_pid,omitempty"` // -1 for none
}

// ReclaimModule is damon_reclaim: it pages out what is idle.
type ReclaimModule struct {
	Enabled bool `file:"enabled" json:"enabled"`
	ModuleWatch
	MinAge        *uint64 `file:"min_age" json:"min_age,omitempty"` // microseconds
	MemPressure   *uint64 `file:"quota_mem_pressure_us" json:"quota_mem_pressure_us,omitempty"`
	Feedback      *uint64 `file:"quota_autotune_feedback" json:"quota_autotune_feedback,omitempty"`
	SkipAnon      *bool   `file:"skip_anon" json:"skip_anon,omitempty"`
	Tried         *uint64 `file:"nr_reclaim_tried_regions" json:"nr_reclaim_tried_regions,omitempty"`
	TriedBytes    *uint64 `file:"bytes_reclaim_tried_regions" json:"bytes_reclaim_tried_regions,omitempty"`
	Reclaimed     *uint64 `file:"nr_reclaimed_regions" json:"nr_reclaimed_regions,omitempty"`
	ReclaimedSize *uint64 `file:"bytes_reclaimed_regions" json:"bytes_reclaimed_regions,omitempty"`
	QuotaExceeds  *uint64 `file:"nr_quota_exceeds" json:"nr_quota_exceeds,omitempty"`
}

// LRUSortModule is damon_lru_sort: it moves pages in the kernel's lists by their use.
type LRUSortModule struct {
	Enabled bool `file:"enabled" json:"enabled"`
	ModuleWatch
	HotThreshold *uint64 `file:"hot_thres_access_freq" json:"hot_thres_access_freq,omitempty"` // per mille
	ColdMinAge   *uint64 `file:"cold_min_age" json:"cold_min_age,omitempty"`                   // microseconds
	HotTried     *uint64 `file:"nr_lru_sort_tried_hot_regions" json:"nr_lru_sort_tried_hot_regions,omitempty"`
	HotTriedSize *uint64 `file:"bytes_lru_sort_tried_hot_regions" json:"bytes_lru_sort_tried_hot_regions,omitempty"`
	HotSorted    *uint64 `file:"nr_lru_sorted_hot_regions" json:"nr_lru_sorted_hot_regions,omitempty"`
	HotSize      *uint64 `file:"bytes_lru_sorted_hot_regions" json:"bytes_lru_sorted_hot_regions,omitempty"`
	HotExceeds   *uint64 `file:"nr_hot_quota_exceeds" json:"nr_hot_quota_exceeds,omitempty"`
	ColdTried    *uint64 `file:"nr_lru_sort_tried_cold_regions" json:"nr_lru_sort_tried_cold_regions,omitempty"`
	ColdTrieSize *uint64 `file:"bytes_lru_sort_tried_cold_regions" json:"bytes_lru_sort_tried_cold_regions,omitempty"`
	ColdSorted   *uint64 `file:"nr_lru_sorted_cold_regions" json:"nr_lru_sorted_cold_regions,omitempty"`
	ColdSize     *uint64 `file:"bytes_lru_sorted_cold_regions" json:"bytes_lru_sorted_cold_regions,omitempty"`
	ColdExceeds  *uint64 `file:"nr_cold_quota_exceeds" json:"nr_cold_quota_exceeds,omitempty"`
	YoungFilter  *bool   `file:"filter_young_pages" json:"filter_young_pages,omitempty"`                       // 7.0
	ActiveMem    *uint64 `file:"active_mem_bp" json:"active_mem_bp,omitempty"`                                 // 7.0
	Autotune     *bool   `file:"autotune_monitoring_intervals" json:"autotune_monitoring_intervals,omitempty"` // 7.0
}

// StatModule is damon_stat: it only watches.
type StatModule struct {
	Enabled      bool    `file:"enabled" json:"enabled"`
	AggrInterval *uint64 `file:"aggr_interval_us" json:"aggr_interval_us,omitempty"`
	Bandwidth    *uint64 `file:"estimated_memory_bandwidth" json:"estimated_memory_bandwidth,omitempty"` // bytes a second
	// Idle is by percentile of the memory, 0 to 100: so many milliseconds idle; below 0,
	// in use for that long.
	Idle []int64 `file:"memory_idle_ms_percentiles,optional" json:"memory_idle_ms_percentiles,omitzero"`
}

// Modules reads the parameters of the modules. Some are hidden from all but root.
func (f FS) Modules() (*Modules, error) {
	r, m := newReader(f, f.path("module")), &Modules{}
	for name, v := range map[string]reflect.Value{
		"damon_reclaim":  reflect.ValueOf(&m.Reclaim).Elem(),
		"damon_lru_sort": reflect.ValueOf(&m.LRUSort).Elem(),
		"damon_stat":     reflect.ValueOf(&m.Stat).Elem(),
	} {
		dir := filepath.Join(name, "parameters")
		present, err := f.exists(filepath.Join(r.root, dir))
		if err != nil {
			return nil, err
		}
		if !present {
			continue
		}
		v.Set(reflect.New(v.Type().Elem()))
		if err := r.object(dir, v.Elem()); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.unknown)
	m.Unknown = r.unknown
	return m, nil
}

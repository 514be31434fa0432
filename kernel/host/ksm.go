package host

import "math"

// KSM is the merging of pages with the same content
// (Documentation/admin-guide/mm/ksm.rst). Its counters are in pages.
type KSM struct {
	Run              Value[int64]  `fact:"run"` // 0 stopped, 1 running, 2 stopped and everything unmerged
	PagesShared      Value[uint64] `fact:"pages_shared"`
	PagesSharing     Value[uint64] `fact:"pages_sharing"`
	PagesUnshared    Value[uint64] `fact:"pages_unshared"`
	PagesVolatile    Value[uint64] `fact:"pages_volatile"`
	ZeroPages        Value[uint64] `fact:"ksm_zero_pages"`
	FullScans        Value[uint64] `fact:"full_scans"`
	MaxPageSharing   Value[uint64] `fact:"max_page_sharing"`
	GeneralProfit    Value[int64]  `fact:"general_profit"` // bytes; negative where it costs more than it saves
	MergeAcrossNodes Value[bool]   `fact:"merge_across_nodes"`
	UseZeroPages     Value[bool]   `fact:"use_zero_pages"`
	Advisor          Value[Choice] `fact:"advisor_mode"`
}

func (s *session) ksm(f *Facts) {
	path := func(name string) string { return s.sysfs("kernel", "mm", "ksm", name) }
	f.KSM = KSM{
		Run:            read(path("run"), func(text string) (int64, error) { return parseInt(text, 0, 2) }),
		PagesShared:    readUint(path("pages_shared")),
		PagesSharing:   readUint(path("pages_sharing")),
		PagesUnshared:  readUint(path("pages_unshared")),
		PagesVolatile:  readUint(path("pages_volatile")),
		ZeroPages:      readUint(path("ksm_zero_pages")),
		FullScans:      readUint(path("full_scans")),
		MaxPageSharing: readUint(path("max_page_sharing")),
		GeneralProfit: read(path("general_profit"), func(text string) (int64, error) {
			return parseInt(text, math.MinInt64, math.MaxInt64)
		}),
		MergeAcrossNodes: readSwitch(path("merge_across_nodes")),
		UseZeroPages:     readSwitch(path("use_zero_pages")),
		Advisor:          readChoice(path("advisor_mode")),
	}
}

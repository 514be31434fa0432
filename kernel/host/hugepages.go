package host

import (
	"cmp"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// HugePages is pages larger than the base page
// (Documentation/admin-guide/mm/{transhuge,hugetlbpage}.rst).
type HugePages struct {
	// Enabled, ShmemEnabled and Defrag are the policy of transparent huge pages.
	Enabled      Value[Choice] `fact:"thp.enabled"`
	ShmemEnabled Value[Choice] `fact:"thp.shmem_enabled"`
	Defrag       Value[Choice] `fact:"thp.defrag"`
	UseZeroPage  Value[bool]   `fact:"thp.use_zero_page"`
	PMDSize      Value[uint64] `fact:"thp.pmd_size"`
	// Pools are the huge pages of hugetlbfs, smallest first.
	Pools Value[[]HugePool] `fact:"pools"`
}

// HugePool is the huge pages of one size; the numbers count pages.
type HugePool struct {
	PageSize   uint64 `json:"page_size"`
	Total      uint64 `json:"total"`
	Free       uint64 `json:"free"`
	Reserved   uint64 `json:"reserved"`
	Surplus    uint64 `json:"surplus"`
	Overcommit uint64 `json:"overcommit"`
}

func (s *session) hugePages(f *Facts) {
	path := func(name string) string { return s.sysfs("kernel", "mm", "transparent_hugepage", name) }
	f.HugePages = HugePages{
		Enabled:      readChoice(path("enabled")),
		ShmemEnabled: readChoice(path("shmem_enabled")),
		Defrag:       readChoice(path("defrag")),
		UseZeroPage:  readSwitch(path("use_zero_page")),
		PMDSize:      readUint(path("hpage_pmd_size")),
		Pools:        s.hugePools(),
	}
}

func (s *session) hugePools() Value[[]HugePool] {
	source := s.sysfs("kernel", "mm", "hugepages")
	names, err := list(source)
	if err != nil {
		return unknown[[]HugePool](guarantee.Read, source, "", err)
	}
	pools := []HugePool{}
	for _, name := range names {
		pool, err := s.hugePool(name)
		if err != nil {
			return unknown[[]HugePool](guarantee.Read, source, name, err)
		}
		pools = append(pools, pool)
	}
	slices.SortFunc(pools, func(a, b HugePool) int { return cmp.Compare(a.PageSize, b.PageSize) })
	slices.Sort(names)
	return known(pools, guarantee.Read, source, strings.Join(names, " "))
}

// hugePool reads a directory such as "hugepages-2048kB".
func (s *session) hugePool(name string) (HugePool, error) {
	dir := s.sysfs("kernel", "mm", "hugepages", name)
	size, ok := strings.CutSuffix(strings.TrimPrefix(name, "hugepages-"), "kB")
	if !ok {
		return HugePool{}, malformed("%s is not hugepages-NkB", quote(name))
	}
	var pool HugePool
	var err error
	if pool.PageSize, err = parseKiB(size); err != nil {
		return HugePool{}, err
	}
	for file, to := range map[string]*uint64{
		"nr_hugepages": &pool.Total, "free_hugepages": &pool.Free, "resv_hugepages": &pool.Reserved,
		"surplus_hugepages": &pool.Surplus, "nr_overcommit_hugepages": &pool.Overcommit,
	} {
		if *to, err = readUint(dir + "/" + file).Get(); err != nil {
			return HugePool{}, err
		}
	}
	return pool, nil
}

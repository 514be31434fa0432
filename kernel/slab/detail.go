package slab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Detail is what the files of one cache say. Pointers are nil where this kernel has no
// such file: counts of all objects need CONFIG_SLUB_DEBUG, lists of slabs of a CPU were
// there up to Linux 6.19.
type Detail struct {
	// ObjectSize is what was asked for, SlabSize what an object takes, in bytes.
	ObjectSize uint64 `json:"object_size"`
	SlabSize   uint64 `json:"slab_size"`
	Align      uint64 `json:"align"`
	// PerSlab objects lie in a slab of 2^Order pages.
	PerSlab uint64 `json:"objects_per_slab"`
	Order   uint64 `json:"order"`
	// UserSize is how many bytes of an object may be copied from and to processes; nil
	// where the kernel does not check that.
	UserSize *uint64 `json:"user_size"`
	// Constructor is set for objects that keep a state while they are free: those are
	// never merged.
	Constructor string `json:"constructor,omitempty"`

	Flags Flags `json:"flags"`

	// Objects are in use, Total have a place, Slabs there are.
	Objects *Count `json:"objects"`
	Total   *Count `json:"total_objects"`
	Slabs   *Count `json:"slabs"`
	// Partial slabs, some objects free, are on the list of their node; CPUSlabs are with
	// a CPU, as its current one or on its list.
	Partial  *Count `json:"partial"`
	CPUSlabs *Count `json:"cpu_slabs"`
	// CPUPartial are the lists of partial slabs that CPUs keep, those that are not empty.
	CPUPartial []CPUList `json:"cpu_partial"`
	// SheafCapacity is how many free objects a CPU keeps in a sheaf (Linux 6.18); 0 where
	// the cache has none.
	SheafCapacity *uint64 `json:"sheaf_capacity"`
}

// Bytes is the memory of all its slabs, given the size of a page; false where it isn't
// counted.
func (d *Detail) Bytes(page uint64) (uint64, bool) {
	if d.Slabs == nil {
		return 0, false
	}
	return d.Slabs.Sum * page << d.Order, true
}

// Flags are properties and debugging options of a cache.
type Flags struct {
	Sanity      bool `json:"sanity_checks"`
	RedZone     bool `json:"red_zone"`
	Poison      bool `json:"poison"`
	StoreUser   bool `json:"store_user"`
	Trace       bool `json:"trace"`
	Reclaimable bool `json:"reclaimable"`
	HWAlign     bool `json:"hardware_aligned"`
	RCU         bool `json:"freed_by_rcu"` // slabs are given back after a grace period
	DMA         bool `json:"dma"`
}

// Count is a number, and how much of it belongs to which NUMA node.
type Count struct {
	Sum   uint64         `json:"sum"`
	Nodes map[int]uint64 `json:"nodes,omitempty"`
}

// CPUList is the list of partial slabs of one CPU. Objects is the kernel's estimate: half
// of a slab each.
type CPUList struct {
	CPU     int    `json:"cpu"`
	Objects uint64 `json:"objects"`
	Slabs   uint64 `json:"slabs"`
}

// orderMax is more than any order that the page allocator has.
const orderMax = 20

func (f FS) detail(id string) (*Detail, error) {
	r := cacheReader{dir: filepath.Join(f.Dir(), id)}
	d := &Detail{
		ObjectSize: r.must("object_size"), SlabSize: r.must("slab_size"), Align: r.must("align"),
		PerSlab: r.must("objs_per_slab"), Order: r.must("order"),
		UserSize: r.number("usersize"), SheafCapacity: r.number("sheaf_capacity"),
		Constructor: r.constructor(),
		Flags: Flags{Sanity: r.on("sanity_checks"), RedZone: r.on("red_zone"), Poison: r.on("poison"), StoreUser: r.on("store_user"),
			Trace: r.on("trace"), Reclaimable: r.on("reclaim_account"), HWAlign: r.on("hwcache_align"), RCU: r.on("destroy_by_rcu"), DMA: r.on("cache_dma")},
		Objects: r.count("objects"), Total: r.count("total_objects"), Slabs: r.count("slabs"),
		Partial: r.count("partial"), CPUSlabs: r.count("cpu_slabs"),
		CPUPartial: r.cpuLists(),
	}
	if r.err == nil && (d.Order > orderMax || d.ObjectSize > d.SlabSize) {
		r.err = fmt.Errorf("%s: %w: object of %d bytes in %d, order %d", r.dir, ErrMalformed, d.ObjectSize, d.SlabSize, d.Order)
	}
	if r.err != nil {
		return nil, r.err
	}
	return d, nil
}

// cacheReader reads the files of one cache, and keeps the first error.
type cacheReader struct {
	dir string
	err error
}

// text returns the content of a file; false where there is none, or after an error.
func (r *cacheReader) text(name string) (string, bool) {
	if r.err != nil {
		return "", false
	}
	const most = 64 << 10
	file, err := os.Open(filepath.Join(r.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "", false
	}
	if err != nil {
		r.err = classify(err)
		return "", false
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		r.err = classify(err)
		return "", false
	}
	return strings.TrimSuffix(string(b), "\n"), true
}

func (r *cacheReader) bad(name, text string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w: %q", filepath.Join(r.dir, name), ErrMalformed, text)
	}
}

func (r *cacheReader) number(name string) *uint64 {
	text, ok := r.text(name)
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.bad(name, text)
		return nil
	}
	return &n
}

// must reads what every kernel with this directory has. Where the directory is gone, so
// is the cache.
func (r *cacheReader) must(name string) uint64 {
	if n := r.number(name); n != nil {
		return *n
	}
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", filepath.Join(r.dir, name), ErrAbsent)
	}
	return 0
}

func (r *cacheReader) on(name string) bool {
	n := r.number(name)
	return n != nil && *n != 0
}

// constructor returns the function, without its offset.
func (r *cacheReader) constructor() string {
	text, _ := r.text("ctor")
	name, _, _ := strings.Cut(text, "+0x")
	return name
}

func (r *cacheReader) count(name string) *Count {
	text, ok := r.text(name)
	if !ok {
		return nil
	}
	c, err := parseCount(text)
	if err != nil {
		r.bad(name, text)
		return nil
	}
	return &c
}

func (r *cacheReader) cpuLists() []CPUList {
	text, ok := r.text("slabs_cpu_partial")
	if !ok {
		return nil
	}
	lists, err := parseCPULists(text)
	if err != nil {
		r.bad("slabs_cpu_partial", text)
	}
	return lists
}

// parseCount parses "2182 N0=2182"; on a machine with one node the second part may be
// missing.
func parseCount(text string) (Count, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return Count{}, ErrMalformed
	}
	sum, err := strconv.ParseUint(fields[0], 10, 48)
	c := Count{Sum: sum}
	for _, field := range fields[1:] {
		node, n, ok := strings.Cut(strings.TrimPrefix(field, "N"), "=")
		id, err1 := strconv.ParseUint(node, 10, 16)
		v, err2 := strconv.ParseUint(n, 10, 48)
		if err := errors.Join(err1, err2); err != nil || !ok || field[0] != 'N' {
			return Count{}, errors.Join(ErrMalformed, err)
		}
		if c.Nodes == nil {
			c.Nodes = map[int]uint64{}
		}
		c.Nodes[int(id)] = v
	}
	return c, err
}

// parseCPULists parses "160(5) C0=96(3) C1=64(2)": objects, and slabs in parentheses.
func parseCPULists(text string) ([]CPUList, error) {
	lists := []CPUList{}
	for i, field := range strings.Fields(text) {
		list := CPUList{CPU: -1}
		if i > 0 {
			cpu, rest, ok := strings.Cut(strings.TrimPrefix(field, "C"), "=")
			id, err := strconv.ParseUint(cpu, 10, 16)
			if err != nil || !ok || field[0] != 'C' {
				return nil, ErrMalformed
			}
			list.CPU, field = int(id), rest
		}
		objects, slabs, ok := strings.Cut(strings.TrimSuffix(field, ")"), "(")
		var err1, err2 error
		list.Objects, err1 = strconv.ParseUint(objects, 10, 48)
		list.Slabs, err2 = strconv.ParseUint(slabs, 10, 48)
		if !ok || err1 != nil || err2 != nil || !strings.HasSuffix(field, ")") {
			return nil, ErrMalformed
		}
		if i > 0 {
			lists = append(lists, list)
		}
	}
	return lists, nil
}

package damon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/lab"
)

// folio is pages that the kernel keeps as one, with what it says of them.
type folio struct {
	start, end uint64 // physical
	page       Page
}

// Flags that package vma has no name for (include/uapi/linux/kernel-page-flags.h).
const (
	frameActive       vma.FrameFlags = 1 << 6
	frameCompoundHead vma.FrameFlags = 1 << 15
	frameCompoundTail vma.FrameFlags = 1 << 16
)

// frames are the kernel's own words for each page frame (pagemap.rst).
type frames struct{ flags, cgroups []uint64 }

func readFrames(t *testing.T) frames {
	t.Helper()
	read := func(name string) []uint64 {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list := make([]uint64, len(text)/8)
		for i := range list {
			list[i] = binary.NativeEndian.Uint64(text[8*i:])
		}
		return list
	}
	f := frames{read("/proc/kpageflags"), read("/proc/kpagecgroup")}
	if len(f.flags) != len(f.cgroups) || len(f.flags) == 0 {
		t.Fatalf("%d frames have flags, %d a cgroup", len(f.flags), len(f.cgroups))
	}
	return f
}

func (f frames) has(frame uint64, want vma.FrameFlags) bool {
	return vma.FrameFlags(f.flags[frame]).Has(want)
}

// folio returns that which begins at a frame, if one of these groups has it and it is on one
// of the lists of pages: DAMON leaves others alone.
func (f frames) folio(frame uint64, groups map[uint64]string) (folio, bool) {
	group, ok := groups[f.cgroups[frame]]
	if !ok || !f.has(frame, vma.FrameLRU) || f.has(frame, frameCompoundTail) {
		return folio{}, false
	}
	end := frame + 1
	if f.has(frame, frameCompoundHead) {
		for end < uint64(len(f.flags)) && f.has(end, frameCompoundTail) {
			end++
		}
	}
	unmapped := true
	for at := frame; at < end; at++ {
		unmapped = unmapped && !f.has(at, vma.FrameMapped)
	}
	anon, active, size := f.has(frame, vma.FrameAnonymous), f.has(frame, frameActive), (end-frame)*vma.PageSize
	return folio{frame * vma.PageSize, end * vma.PageSize, Page{Anon: &anon, Active: &active, Unmapped: &unmapped, Memcg: &group, Size: &size}}, true
}

func (f frames) folios(groups map[uint64]string) []folio {
	var all []folio
	for frame := uint64(0); frame < uint64(len(f.flags)); frame++ {
		if one, ok := f.folio(frame, groups); ok {
			all = append(all, one)
			frame = one.end/vma.PageSize - 1
		}
	}
	return all
}

// kinds sums up the sizes of folios by what is known of them.
func kinds(list []folio) map[string]uint64 {
	sums := map[string]uint64{}
	for _, f := range list {
		sums[f.page.String()] += f.end - f.start
	}
	return sums
}

// population is processes whose memory is of all the kinds that filters tell apart, and holds
// still.
type population struct {
	victims []*hog.Victim
	groups  map[uint64]string // paths, by inode
	paths   []string
	files   []string // of the first victim: one that is mapped, and one that is not
}

const (
	kindBytes = 2 << 20
	hugeBytes = 8 << 20
)

// populate makes two cgroups with memory: anonymous, and of files, mapped and read alone; with all,
// also in huge pages, and the rest of it on active lists too. (Linux 6.12 counts a huge page once
// for each region that has a part of it.)
func populate(t *testing.T, all bool) *population {
	t.Helper()
	still(t)
	p := &population{groups: map[uint64]string{}}
	dir := lab.Scratch(t)
	for i := range 2 {
		group, path := labGroup(t, fmt.Sprint("kinds", i))
		p.paths = append(p.paths, path)
		p.groups[inode(t, group)] = path
		list := mappings(t, dir, i, all)
		if i == 0 {
			p.files = []string{list[2].File, list[3].File}
		}
		v := hog.Maps(t, list...)
		if err := errors.Join(group.Add(v.PID), v.Begin()); err != nil {
			t.Fatal(err)
		}
		if all {
			activate(t, v, 0)
		}
		p.victims = append(p.victims, v)
	}
	drain(t)
	return p
}

// drain has the kernel put the pages on its lists that each processor has at hand, so that what
// is on a list now stays there: the first thing that MADV_COLLAPSE does (mm/khugepaged.c).
func drain(t *testing.T) {
	t.Helper()
	b, err := sys.Mmap(4<<20, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous|sys.MapPopulate, -1, 0)
	if err == nil {
		err = errors.Join(sys.Madvise(b, sys.MadvCollapse), sys.Munmap(b))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mappings are those of one victim. What is read several times becomes active.
func mappings(t *testing.T, dir string, victim int, all bool) []hog.Mapping {
	t.Helper()
	file := func(n int) string {
		name := filepath.Join(dir, fmt.Sprintf("kind%d-%d", victim, n))
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, kindBytes)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	list := []hog.Mapping{{Bytes: kindBytes}, {Bytes: kindBytes}, {Bytes: kindBytes, File: file(0)}, {File: file(1), Reads: 1}}
	if all {
		both := file(2)
		list = append(list, hog.Mapping{Bytes: hugeBytes, Huge: true},
			hog.Mapping{File: file(3), Reads: 4}, hog.Mapping{File: both, Reads: 4}, hog.Mapping{Bytes: kindBytes, File: both})
	}
	return list
}

// still keeps the kernel from changing pages by itself, and has it keep active ones apart, which
// it does not by generations. Free memory is put together, so that a population is in long runs.
func still(t *testing.T) {
	t.Helper()
	for _, w := range [][2]string{{"/sys/kernel/mm/lru_gen/enabled", "n"}, {"/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0"},
		{"/sys/kernel/mm/transparent_hugepage/enabled", "madvise"}, {"/proc/sys/vm/drop_caches", "3"}, {"/proc/sys/vm/compact_memory", "1"}} {
		if err := os.WriteFile(w[0], []byte(w[1]), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// activate has a mapping read from outside, which the kernel notes as a use each time.
func activate(t *testing.T, v *hog.Victim, number int) {
	t.Helper()
	b := make([]byte, kindBytes)
	for range 4 {
		if n, err := sys.ProcessVMRead(v.PID, b, v.Address(number)); err != nil || n != len(b) {
			t.Fatal(n, err)
		}
	}
}

func inode(t *testing.T, group *cgroup.Group) uint64 {
	t.Helper()
	info, err := os.Stat(group.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// runs puts folios that are neighbours together, and keeps those of at least so many bytes.
func runs(list []folio, least uint64) []AddrRegion {
	var all []AddrRegion
	for _, f := range list {
		if n := len(all); n > 0 && all[n-1].End == f.start {
			all[n-1].End = f.end
		} else {
			all = append(all, AddrRegion{f.start, f.end})
		}
	}
	return slices.DeleteFunc(all, func(r AddrRegion) bool { return r.End-r.Start < least })
}

// within are the folios in regions.
func within(list []folio, regions []AddrRegion) []folio {
	var in []folio
	for _, f := range list {
		if slices.ContainsFunc(regions, func(r AddrRegion) bool { return r.Start <= f.start && f.end <= r.End }) {
			in = append(in, f)
		}
	}
	return in
}

// physical are the folios of a population, without what its processes need for themselves: that
// changes.
func (p *population) physical(t *testing.T, f frames) []folio {
	t.Helper()
	mapped := map[uint64]bool{}
	for _, v := range p.victims {
		for _, m := range v.Mappings() {
			for _, r := range physical(t, v.PID, m[0], m[1], 0) {
				for at := r.Start; at < r.End; at += vma.PageSize {
					mapped[at] = true
				}
			}
		}
	}
	return slices.DeleteFunc(f.folios(p.groups), func(one folio) bool { return *one.page.Anon && !mapped[one.start] })
}

// virtual are the folios of the mappings of a victim, at their virtual addresses.
func (f frames) virtual(t *testing.T, p *population, victim int) []folio {
	t.Helper()
	v := p.victims[victim]
	proc, err := process.Default().Open(v.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	var all []folio
	var reader vma.Reader
	for _, r := range v.Mappings() {
		end := uint64(0)
		if err := reader.Pages(proc, r[0], r[1], func(addr uint64, page vma.Page) error {
			if addr < end {
				return nil
			}
			one, ok := f.folio(page.Frame(), p.groups)
			if !ok {
				return fmt.Errorf("%#x: frame %#x is none of a folio of this population", addr, page.Frame())
			}
			end = addr + one.end - one.start
			one.start, one.end = addr, end
			all = append(all, one)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

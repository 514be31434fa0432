package feature

import (
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var pagemapScan = Feature{
	Name:   "pagemap-scan",
	Title:  "the kernel finds the pages of a kind in a range (PAGEMAP_SCAN)",
	Source: "Documentation/admin-guide/mm/pagemap.rst",
	Since:  "6.7",
	probe:  probePagemapScan,
}

// probePagemapScan touches the middle one of three pages, and lets the kernel find it.
// The control is a scan before the touch, which finds nothing.
func probePagemapScan() Result {
	size := os.Getpagesize()
	pages, err := ownPages(3)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(pages)
	// A kernel without huge pages refuses the advice, and does not need it.
	_ = sys.Madvise(pages, sys.MadvNohugepage)
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return unknown("pagemap", err)
	}
	defer pagemap.Close()
	before, err := scanPresent(pagemap, pages)
	if err != nil {
		return absentIf("PAGEMAP_SCAN", err, "", syscall.ENOTTY)
	}
	if len(before) != 0 {
		return noControl(fmt.Sprintf("of untouched pages it found %x", before), nil)
	}
	write(pages[size:], 1)
	after, err := scanPresent(pagemap, pages)
	if err != nil {
		return unknown("PAGEMAP_SCAN", err)
	}
	start := sys.Addr(pages[size:])
	want := sys.PageRegion{Start: start, End: start + uint64(size), Categories: sys.PageIsPresent}
	if len(after) != 1 || after[0] != want {
		return unknown(fmt.Sprintf("it found %x, want %x", after, want), nil)
	}
	return present("it found the touched page alone", "before the touch it found none")
}

func scanPresent(pagemap *os.File, b []byte) ([]sys.PageRegion, error) {
	var regions [8]sys.PageRegion
	start := sys.Addr(b)
	n, _, err := sys.PagemapScan(pagemap, start, start+uint64(len(b)), sys.PageIsPresent, sys.PageIsPresent, regions[:])
	return regions[:n], err
}

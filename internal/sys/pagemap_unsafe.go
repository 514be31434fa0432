package sys

import (
	"os"
	"unsafe"
)

// pmScanArg is struct pm_scan_arg of include/uapi/linux/fs.h (Linux 6.7): the
// argument of the PAGEMAP_SCAN ioctl on /proc/PID/pagemap.
type pmScanArg struct {
	size, flags, start, end, walkEnd uint64

	vec                                                       unsafe.Pointer // 64 bits wide, as in the kernel
	vecLen, maxPages                                          uint64
	categoryInverted, categoryMask, categoryAnyof, returnMask uint64
}

// PageRegion is struct page_region: pages with the same categories.
type PageRegion struct {
	Start, End uint64 // byte addresses
	Categories uint64
}

const ioctlPagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(pmScanArg{})-ioctlPagemapScan>>16&0x3fff]
	_ = [1]struct{}{}[unsafe.Sizeof(PageRegion{})-24]
)

// Categories of PAGEMAP_SCAN.
const (
	PageIsWPAllowed = 1 << 0
	PageIsWritten   = 1 << 1
	PageIsFile      = 1 << 2
	PageIsPresent   = 1 << 3
	PageIsSwapped   = 1 << 4
	PageIsPFNZero   = 1 << 5
	PageIsHuge      = 1 << 6
	PageIsSoftDirty = 1 << 7
	PageIsGuard     = 1 << 8 // newer kernels
)

// PagemapScan fills regions with the runs of pages in [start, end) that have any of
// the categories anyOf, each with those of its categories that are in report. It
// returns how many runs it filled and where to go on. pagemap is an open
// /proc/PID/pagemap. ENOTTY says that the kernel is older than 6.7.
func PagemapScan(pagemap *os.File, start, end, anyOf, report uint64, regions []PageRegion) (n int, next uint64, err error) {
	arg := pmScanArg{
		start: start, end: end,
		vec: unsafe.Pointer(unsafe.SliceData(regions)), vecLen: uint64(len(regions)),
		categoryAnyof: anyOf, returnMask: report,
	}
	arg.size = uint64(unsafe.Sizeof(arg))
	n, err = ioctl(pagemap, ioctlPagemapScan, unsafe.Pointer(&arg))
	return n, arg.walkEnd, err
}

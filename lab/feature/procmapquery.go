package feature

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var procmapQuery = Feature{
	Name:   "procmap-query",
	Title:  "the kernel is asked for one VMA by address (PROCMAP_QUERY)",
	Source: "proc_pid_maps(5); include/uapi/linux/fs.h",
	Since:  "6.11",
	probe:  probeProcmapQuery,
}

// probeProcmapQuery asks for an own page. The control is its lower neighbour, from
// which access was taken: another VMA.
func probeProcmapQuery() Result {
	pages, err := ownPages(2)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(pages)
	below, page := pages[:os.Getpagesize()], pages[os.Getpagesize():]
	if err := sys.Mprotect(below, sys.ProtNone); err != nil {
		return unknown("mprotect", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return unknown("maps", err)
	}
	defer maps.Close()
	perm, first, err := queryPage(maps, page)
	if err != nil {
		return absentIf("PROCMAP_QUERY", err, "", syscall.ENOTTY)
	}
	permBelow, _, err := queryPage(maps, below)
	if err != nil || permBelow != 0 {
		return noControl(fmt.Sprintf("a page without access has permissions %#x", permBelow), err)
	}
	if want := uint64(sys.ProcmapReadable | sys.ProcmapWritable); perm != want || !first {
		return unknown(fmt.Sprintf("permissions %#x, want %#x, of a VMA that begins at the page: %t", perm, want, first), nil)
	}
	return present(fmt.Sprintf("a VMA that begins at the page, permissions %#x", perm), "its neighbour without access: permissions 0x0")
}

var errElsewhere = errors.New("the answer is a VMA elsewhere")

// queryPage returns the permissions of the VMA that holds the page, and whether it
// begins there.
func queryPage(maps *os.File, page []byte) (perm uint64, first bool, err error) {
	var v sys.ProcmapVMA
	addr := sys.Addr(page)
	if err := v.Query(maps, addr, 0, false, false); err != nil {
		return 0, false, err
	}
	if addr < v.Start || addr >= v.End {
		return 0, false, errElsewhere
	}
	return v.Flags & sys.ProcmapPermissionsFlags, v.Start == addr, nil
}

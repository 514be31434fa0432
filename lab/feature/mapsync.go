package feature

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

var mapSync = Feature{
	Name:   "map-sync",
	Title:  "MAP_SYNC: what is flushed by the processor is in the file, with no fsync",
	Source: "mmap(2), MAP_SYNC; Documentation/driver-api/nvdimm",
	Since:  "6.1",
	needs:  needsDAX,
	probe:  probeMapSync,
}

// probeMapSync maps a new file with MAP_SYNC on each mount that may do DAX, and looks
// for the flag in smaps. The controls are a memfd, which the kernel refuses, and the
// same file without MAP_SYNC, which has no flag.
func probeMapSync() Result {
	control, err := sys.MemfdCreate("map-sync-control", 0)
	if err != nil {
		return noControl("memfd_create", err)
	}
	defer control.Close()
	if err := control.Truncate(int64(os.Getpagesize())); err != nil {
		return noControl("ftruncate of a memfd", err)
	}
	_, err = mappedSync(control, sys.MapSharedValidate|sys.MapSync)
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		return noControl("mmap(MAP_SYNC) of a memfd, want EOPNOTSUPP", err)
	}
	return eachDAXMount(outcome("mmap(MAP_SYNC) of a memfd", err), syncFile)
}

func syncFile(f *os.File) Result {
	if err := f.Truncate(int64(os.Getpagesize())); err != nil {
		return unknown("ftruncate of "+f.Name(), err)
	}
	flag, err := mappedSync(f, sys.MapShared)
	if err != nil || flag {
		return noControl(fmt.Sprintf("%s mapped without MAP_SYNC: sf=%t", f.Name(), flag), err)
	}
	call := f.Name() + ": mmap(MAP_SYNC)"
	flag, err = mappedSync(f, sys.MapSharedValidate|sys.MapSync)
	switch {
	case err != nil:
		return absentIf(call, err, "", syscall.EOPNOTSUPP)
	case !flag:
		return absent(call+": ok, but no sf in VmFlags", "")
	}
	return present(call+": ok, sf in VmFlags", "")
}

// mappedSync maps a page of the file and reports whether the VMA is one of synchronous
// faults.
func mappedSync(f *os.File, flags int) (bool, error) {
	b, err := sys.Mmap(os.Getpagesize(), readWrite, flags, int(f.Fd()), 0)
	if err != nil {
		return false, err
	}
	defer sys.Munmap(b)
	vmFlags, err := flagsOf(b)
	return vmFlags.Has(vma.FlagSync), err
}

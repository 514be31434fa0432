package sys

import (
	"os"
	"unsafe"
)

// procmapQuery is struct procmap_query of include/uapi/linux/fs.h (Linux 6.11):
// the argument of the PROCMAP_QUERY ioctl on /proc/PID/maps.
type procmapQuery struct {
	size        uint64
	queryFlags  uint64
	queryAddr   uint64
	vmaStart    uint64
	vmaEnd      uint64
	vmaFlags    uint64
	vmaPageSize uint64
	vmaOffset   uint64
	inode       uint64
	devMajor    uint32
	devMinor    uint32
	nameSize    uint32
	buildIDSize uint32
	nameAddr    unsafe.Pointer // 64 bits wide, as in the kernel: the project is 64-bit only
	buildIDAddr unsafe.Pointer
}

// The ioctl number carries the size: both must be what the kernel has.
const ioctlProcmapQuery = 0xc0686611 // _IOWR('f', 17, struct procmap_query)

var _ = [1]struct{}{}[unsafe.Sizeof(procmapQuery{})-ioctlProcmapQuery>>16&0x3fff]

// Query flags of PROCMAP_QUERY: which VMAs are wanted, and how the address is meant.
const (
	ProcmapReadable         = 0x01
	ProcmapWritable         = 0x02
	ProcmapExecutable       = 0x04
	ProcmapShared           = 0x08
	ProcmapCoveringOrNext   = 0x10 // the VMA that covers the address, or the next one
	ProcmapFileBacked       = 0x20
	ProcmapBuildIDSizeMax   = 20 // BUILD_ID_SIZE_MAX
	procmapNameSizeMax      = 4096
	ProcmapPermissionsFlags = ProcmapReadable | ProcmapWritable | ProcmapExecutable | ProcmapShared
)

// ProcmapVMA is one answer to PROCMAP_QUERY. It owns the buffers of the query, so
// that walking an address space allocates once.
type ProcmapVMA struct {
	Start, End uint64
	Flags      uint64 // the first four of the query flags
	PageSize   uint64
	Offset     uint64
	Inode      uint64
	Major      uint32
	Minor      uint32
	Name       []byte // valid until the next query
	BuildID    []byte // valid until the next query

	arg     procmapQuery
	name    [procmapNameSizeMax]byte
	buildID [ProcmapBuildIDSizeMax]byte
}

// Query asks for the VMA at addr in the address space that maps, an open
// /proc/PID/maps, belongs to. ENOENT says that there is none (any more), ESRCH that
// the address space is gone, ENOTTY that the kernel is older than 6.11.
func (v *ProcmapVMA) Query(maps *os.File, addr uint64, flags uint64, wantName, wantBuildID bool) error {
	v.arg = procmapQuery{size: uint64(unsafe.Sizeof(v.arg)), queryFlags: flags, queryAddr: addr}
	if wantName {
		v.arg.nameAddr, v.arg.nameSize = unsafe.Pointer(&v.name), procmapNameSizeMax
	}
	if wantBuildID {
		v.arg.buildIDAddr, v.arg.buildIDSize = unsafe.Pointer(&v.buildID), ProcmapBuildIDSizeMax
	}
	if _, err := ioctl(maps, ioctlProcmapQuery, unsafe.Pointer(&v.arg)); err != nil {
		return err
	}
	v.Start, v.End, v.Flags, v.PageSize = v.arg.vmaStart, v.arg.vmaEnd, v.arg.vmaFlags, v.arg.vmaPageSize
	v.Offset, v.Inode, v.Major, v.Minor = v.arg.vmaOffset, v.arg.inode, v.arg.devMajor, v.arg.devMinor
	v.Name, v.BuildID = nil, nil
	if n := v.arg.nameSize; wantName && n > 0 && n <= procmapNameSizeMax {
		v.Name = v.name[:n-1] // the kernel counts the final NUL
	}
	if n := v.arg.buildIDSize; wantBuildID && n <= ProcmapBuildIDSizeMax {
		v.BuildID = v.buildID[:n]
	}
	return nil
}

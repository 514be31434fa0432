package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BPFProgram is the beginning of struct bpf_prog_info of include/uapi/linux/bpf.h, up
// to the name: the kernel fills as much as it is given room for, and every kernel
// since 4.15 has these fields.
type BPFProgram struct {
	Type               uint32 // enum bpf_prog_type
	ID                 uint32
	Tag                [8]byte // of the program's instructions
	jitedLen, xlateLen uint32
	jited, xlated      uint64 // pointers; 0: not wanted
	LoadTime           uint64 // nanoseconds of CLOCK_BOOTTIME
	UID                uint32 // of who loaded it, in the caller's user namespace
	nrMaps             uint32
	maps               uint64 // pointer; 0: not wanted
	RawName            [16]byte
}

// bpfProgID is the part of union bpf_attr for BPF_PROG_GET_NEXT_ID and
// BPF_PROG_GET_FD_BY_ID.
type bpfProgID struct{ id, next, openFlags uint32 }

// bpfObjInfo is the part of union bpf_attr for BPF_OBJ_GET_INFO_BY_FD.
type bpfObjInfo struct {
	fd, len uint32
	info    unsafe.Pointer // 64 bits wide, as in the kernel
}

// bpfProgLoad is the beginning of the part of union bpf_attr for BPF_PROG_LOAD.
type bpfProgLoad struct {
	progType, insnCount uint32
	insns, license      unsafe.Pointer
	logLevel, logSize   uint32
	log                 unsafe.Pointer
	kernVersion, flags  uint32
	name                [16]byte
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(BPFProgram{})-80]
	_ = [1]struct{}{}[unsafe.Offsetof(BPFProgram{}.LoadTime)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(BPFProgram{}.RawName)-64]
	_ = [1]struct{}{}[unsafe.Sizeof(bpfProgID{})-12]
	_ = [1]struct{}{}[unsafe.Sizeof(bpfObjInfo{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(bpfProgLoad{})-64]
)

// Name returns the name that the program was loaded under, at most 15 bytes; it may
// be empty.
func (p *BPFProgram) Name() string { return unix.ByteSliceToString(p.RawName[:]) }

// BPFProgNext returns the id of the first loaded BPF program above id. ENOENT says
// that there is none; it needs CAP_SYS_ADMIN (EPERM).
func BPFProgNext(id uint32) (uint32, error) {
	attr := bpfProgID{id: id}
	_, err := bpf(unix.BPF_PROG_GET_NEXT_ID, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return attr.next, os.NewSyscallError("bpf(BPF_PROG_GET_NEXT_ID)", err)
}

// BPFProgOpen opens the loaded BPF program with the given id. ENOENT says that it has
// been unloaded.
func BPFProgOpen(id uint32) (*os.File, error) {
	attr := bpfProgID{id: id}
	fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, os.NewSyscallError("bpf(BPF_PROG_GET_FD_BY_ID)", err)
	}
	return os.NewFile(uintptr(fd), "bpf-prog"), nil
}

// BPFProgInfo says what an open BPF program is.
func BPFProgInfo(prog *os.File) (BPFProgram, error) {
	var info BPFProgram
	attr := bpfObjInfo{fd: uint32(prog.Fd()), len: uint32(unsafe.Sizeof(info)), info: unsafe.Pointer(&info)}
	_, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return info, os.NewSyscallError("bpf(BPF_OBJ_GET_INFO_BY_FD)", err)
}

// BPFProgLoad loads a program of the given type, and attaches it to nothing: it is
// gone when the file is closed. Each instruction is struct bpf_insn as a number. The
// name has at most 15 letters, digits, '_' and '.'.
func BPFProgLoad(progType uint32, name string, insns []uint64) (*os.File, error) {
	license := [...]byte{'G', 'P', 'L', 0}
	attr := bpfProgLoad{
		progType: progType, insnCount: uint32(len(insns)),
		insns: unsafe.Pointer(unsafe.SliceData(insns)), license: unsafe.Pointer(&license),
	}
	copy(attr.name[:len(attr.name)-1], name)
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, os.NewSyscallError("bpf(BPF_PROG_LOAD)", err)
	}
	return os.NewFile(uintptr(fd), "bpf-prog:"+name), nil
}

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

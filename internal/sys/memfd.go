package sys

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Flags of memfd_create(2); MFD_CLOEXEC is always added.
const (
	MfdAllowSealing = unix.MFD_ALLOW_SEALING
	MfdNoexecSeal   = unix.MFD_NOEXEC_SEAL
	MfdExec         = unix.MFD_EXEC
	MfdHugetlb      = unix.MFD_HUGETLB
)

// MfdHugeShift is where the flags of memfd_create(2) carry the binary logarithm of
// the huge page size that [MfdHugetlb] asks for.
const MfdHugeShift = unix.MFD_HUGE_SHIFT

// Seals of F_ADD_SEALS.
const (
	SealSeal        = unix.F_SEAL_SEAL
	SealShrink      = unix.F_SEAL_SHRINK
	SealGrow        = unix.F_SEAL_GROW
	SealWrite       = unix.F_SEAL_WRITE
	SealFutureWrite = unix.F_SEAL_FUTURE_WRITE
	SealExec        = unix.F_SEAL_EXEC
)

// Magic numbers of file systems, for [FileSystem].
const (
	MagicTmpfs     = unix.TMPFS_MAGIC
	MagicRamfs     = unix.RAMFS_MAGIC
	MagicHugetlbfs = unix.HUGETLBFS_MAGIC
	MagicSecretmem = unix.SECRETMEM_MAGIC
	MagicProc      = unix.PROC_SUPER_MAGIC
	MagicCgroup2   = unix.CGROUP2_SUPER_MAGIC
	MagicOverlay   = unix.OVERLAYFS_SUPER_MAGIC
	MagicBtrfs     = unix.BTRFS_SUPER_MAGIC
	MagicNFS       = unix.NFS_SUPER_MAGIC
	MagicSMB       = unix.SMB2_SUPER_MAGIC
	MagicFUSE      = unix.FUSE_SUPER_MAGIC
	Magic9P        = unix.V9FS_MAGIC
	MagicCeph      = unix.CEPH_SUPER_MAGIC
	MagicZFS       = 0x2fc12fc1 // of OpenZFS; the kernel has no header for it
)

// MemfdCreate makes a memfd.
func MemfdCreate(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "memfd:"+name), nil
}

// MemfdSecret makes a file of secret memory (memfd_secret(2), Linux 5.14; x/sys has
// the number alone).
func MemfdSecret() (*os.File, error) {
	return MemfdSecretFlags(unix.O_CLOEXEC)
}

// Flags of [MemfdSecretFlags], the right one and others.
const (
	OCloexec  = unix.O_CLOEXEC
	OAppend   = unix.O_APPEND
	FdCloexec = unix.FD_CLOEXEC
)

// MemfdSecretFlags is [MemfdSecret] with other flags.
func MemfdSecretFlags(flags int) (*os.File, error) {
	fd, _, errno := unix.Syscall(unix.SYS_MEMFD_SECRET, uintptr(flags), 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("memfd_secret", errno)
	}
	return os.NewFile(fd, "secretmem"), nil
}

// AddSeals adds seals to a memfd.
func AddSeals(f *os.File, seals int) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl(F_ADD_SEALS)", err)
}

// Seals returns the seals of a memfd. EINVAL says that the file has none and can
// have none.
func Seals(f *os.File) (int, error) {
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	return seals, os.NewSyscallError("fcntl(F_GET_SEALS)", err)
}

// Reopen opens the file that f, perhaps opened with [OPath], stands for once more,
// for reading. It never waits: opening a memfd breaks a lease that somebody took on
// it, and gives EWOULDBLOCK. Secret memory cannot be opened (ENXIO).
func Reopen(f *os.File) (*os.File, error) {
	return OpenAt(AtFDCWD, ownLink(f), ORdonly|unix.O_NONBLOCK|unix.O_NOCTTY)
}

// LinkText returns what the kernel calls the file that f stands for: the target of
// /proc/self/fd/N.
func LinkText(f *os.File) (string, error) { return ReadlinkAt(AtFDCWD, ownLink(f)) }

func ownLink(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// FileSystem returns the magic number of the file system that f is on.
func FileSystem(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return int64(st.Type), nil
}

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// AtFDCWD makes [OpenAt] and [ReadlinkAt] start at the working directory.
const AtFDCWD = unix.AT_FDCWD

// Flags of [OpenAt]; O_CLOEXEC is always added.
const (
	ORdonly    = unix.O_RDONLY
	ORdwr      = unix.O_RDWR
	OPath      = unix.O_PATH
	ODirectory = unix.O_DIRECTORY
	ONofollow  = unix.O_NOFOLLOW
)

// OpenAt opens name below the directory dirfd. The file is not known
// to the runtime's poller: it is for procfs and sysfs, which cannot be polled, and
// saves the attempt.
func OpenAt(dirfd int, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// TempFile makes a file in a directory that has no name, and is gone when it is closed
// (O_TMPFILE of open(2)). EOPNOTSUPP says that the file system can't.
func TempFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open(O_TMPFILE)", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// ReadlinkAt returns the target of the link name below dirfd, however long.
func ReadlinkAt(dirfd int, name string) (string, error) {
	for buf := make([]byte, 256); ; buf = make([]byte, 2*len(buf)) {
		n, err := unix.Readlinkat(dirfd, name, buf)
		if err != nil {
			return "", &os.PathError{Op: "readlink", Path: name, Err: err}
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
	}
}

// FileStat is what [StatAt] and [Stat] return.
type FileStat struct {
	Dev   uint64 // as the kernel encodes it for stat(2); see [Major] and [Minor]
	Ino   uint64
	Mode  uint32
	Nlink uint64
	UID   uint32
	GID   uint32
	Size  int64
	// Blocks of 512 bytes that are allocated.
	Blocks int64
}

// StatAt returns the attributes of name below dirfd, following links.
func StatAt(dirfd int, name string) (FileStat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, 0); err != nil {
		return FileStat{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return fileStat(&st), nil
}

// Stat returns the attributes of an open file.
func Stat(f *os.File) (FileStat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return FileStat{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return fileStat(&st), nil
}

func fileStat(st *unix.Stat_t) FileStat {
	return FileStat{Dev: uint64(st.Dev), Ino: st.Ino, Mode: st.Mode, Nlink: uint64(st.Nlink),
		UID: st.Uid, GID: st.Gid, Size: st.Size, Blocks: st.Blocks}
}

// Major returns the major number of a device as stat(2) encodes it.
func Major(dev uint64) uint32 { return unix.Major(dev) }

// Minor returns the minor number of a device as stat(2) encodes it.
func Minor(dev uint64) uint32 { return unix.Minor(dev) }

// IsPath reports whether f was opened with O_PATH (open(2)).
func IsPath(f *os.File) (bool, error) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return flags&unix.O_PATH != 0, os.NewSyscallError("fcntl(F_GETFL)", err)
}

// IsCloseOnExec reports whether f ends when a program is executed (FD_CLOEXEC, fcntl(2)): what a process was
// started with does not, until it says so.
func IsCloseOnExec(f *os.File) (bool, error) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	return flags&unix.FD_CLOEXEC != 0, os.NewSyscallError("fcntl(F_GETFD)", err)
}

package sys

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// PwriteDsync writes the parts one after the other at an offset of f, and waits until that
// range is on the device (pwritev2(2) with RWF_DSYNC, Linux 4.7). It may write less than
// all, as write(2) may.
func PwriteDsync(f *os.File, parts [][]byte, offset int64) (int, error) {
	for {
		n, err := unix.Pwritev2(int(f.Fd()), parts, offset, unix.RWF_DSYNC)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Fdatasync waits until the content of f is on the device (fdatasync(2)).
func Fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// Fallocate allocates space and makes f at least that long (fallocate(2)).
func Fallocate(f *os.File, offset, length int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), 0, offset, length); err != unix.EINTR {
			return err
		}
	}
}

// OpenUnnamed makes a file without a name in a directory, to be read and written, which
// [LinkUnnamed] gives one (O_TMPFILE of open(2)).
func OpenUnnamed(directory string, perm os.FileMode) (*os.File, error) {
	fd, err := unix.Open(directory, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(perm.Perm()))
	if err != nil {
		return nil, &os.PathError{Op: "open(O_TMPFILE)", Path: directory, Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(directory, "(unnamed)")), nil
}

// LinkUnnamed gives a file of [OpenUnnamed] a name in a directory. It needs /proc.
func LinkUnnamed(f, directory *os.File, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, ownLink(f), int(directory.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: name, Err: err}
	}
	return nil
}

// ReopenWritable opens the file that f stands for once more, to be read and written. The two
// share no offset, no lock and no pending error of a sync. It needs /proc.
func ReopenWritable(f *os.File) (*os.File, error) { return os.OpenFile(ownLink(f), os.O_RDWR, 0) }

// Flock takes a lock on an open file, without waiting (flock(2)). EWOULDBLOCK says that
// another holds one that is in the way.
func Flock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	return unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
}

// PageCounts are pages of a file in the page cache.
type PageCounts struct{ Cached, Dirty, Writeback uint64 }

// CachedPages counts the pages of a range of f in the page cache (cachestat(2), Linux 6.5).
func CachedPages(f *os.File, offset, length uint64) (PageCounts, error) {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: offset, Len: length}, &st, 0)
	return PageCounts{Cached: st.Cache, Dirty: st.Dirty, Writeback: st.Writeback}, os.NewSyscallError("cachestat", err)
}

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// DAX reports whether the data of an open file is accessed without the page cache
// (STATX_ATTR_DAX of statx(2), Linux 5.8). known is false where the kernel does not
// tell.
func DAX(f *os.File) (on, known bool, err error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st); err != nil {
		return false, false, os.NewSyscallError("statx", err)
	}
	return st.Attributes&unix.STATX_ATTR_DAX != 0, st.Attributes_mask&unix.STATX_ATTR_DAX != 0, nil
}

// MountID returns the number of the mount that an open file is on, as /proc/PID/mountinfo
// has it (STATX_MNT_ID of statx(2), Linux 5.8).
func MountID(f *os.File) (uint64, error) { return mountID(int(f.Fd()), "", unix.AT_EMPTY_PATH) }

// MountIDAt is [MountID] of what a path leads to.
func MountIDAt(path string) (uint64, error) { return mountID(unix.AT_FDCWD, path, 0) }

func mountID(dir int, path string, flags int) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(dir, path, flags, unix.STATX_MNT_ID, &st); err != nil {
		return 0, os.NewSyscallError("statx", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, os.NewSyscallError("statx(STATX_MNT_ID)", unix.ENOSYS)
	}
	return st.Mnt_id, nil
}

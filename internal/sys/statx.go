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

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadKernelLog reads the newest messages of the kernel's log into b (syslog(2),
// SYSLOG_ACTION_READ_ALL). It takes nothing out of it.
func ReadKernelLog(b []byte) error {
	_, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, b)
	return os.NewSyscallError("syslog(SYSLOG_ACTION_READ_ALL)", err)
}

// CountKernelTime opens, and closes, a counter of the time that this thread is running, in
// the kernel too (perf_event_open(2), without exclude_kernel).
func CountKernelTime() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: unix.PERF_ATTR_SIZE_VER0,
		Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitDisabled}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("perf_event_open", err)
	}
	return unix.Close(fd)
}

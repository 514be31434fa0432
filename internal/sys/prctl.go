package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Options of [Prctl] for experiments.
const (
	PrSetMDWE           = 65 // PR_SET_MDWE (Linux 6.3)
	PrGetMDWE           = 66
	MDWERefuseExecGain  = 1 // PR_MDWE_REFUSE_EXEC_GAIN
	MDWENoInherit       = 2 // PR_MDWE_NO_INHERIT (Linux 6.6)
	PrSetMemoryMerge    = 67
	PrSetChildSubreaper = unix.PR_SET_CHILD_SUBREAPER
)

// Prctl makes one call of prctl(2) for the calling thread, and returns what it returned.
func Prctl(option int, args ...uintptr) (int, error) {
	var a [4]uintptr
	copy(a[:], args)
	n, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), a[0], a[1], a[2], a[3], 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Resources of getrlimit(2), for [SetLimit] and [CallPrlimit].
const (
	LimitMemlock = unix.RLIMIT_MEMLOCK
	LimitCore    = unix.RLIMIT_CORE
	LimitAS      = unix.RLIMIT_AS
	LimitData    = unix.RLIMIT_DATA
	LimitStack   = unix.RLIMIT_STACK
)

// SetLimit sets the soft limit of a resource of this process, and lowers the hard one to
// it.
func SetLimit(resource int, value uint64) error {
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value})
}

// NoCore has this process, and what it executes, leave no core dumps. A limit of one byte is too little for a
// file, and keeps a dump from the program of kernel.core_pattern too, for which 0 is no limit (core(5);
// fs/coredump.c). Where the hard limit is 0 it stays.
func NoCore() error {
	err := SetLimit(LimitCore, 1)
	if errors.Is(err, unix.EPERM) {
		err = SetLimit(LimitCore, 0)
	}
	return os.NewSyscallError("setrlimit(CORE)", err)
}

// MinorFaults returns how many page faults the calling thread has had that needed no
// reading from a disk (getrusage(2), RUSAGE_THREAD).
func MinorFaults() (int64, error) {
	var use unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &use)
	return int64(use.Minflt), err
}

// MajorFaults returns how many page faults the calling thread has had that waited for a disk.
func MajorFaults() (int64, error) {
	var use unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &use)
	return int64(use.Majflt), err
}

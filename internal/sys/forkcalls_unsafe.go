package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RawCall is one raw system call of [ForkCalls], or one load or store.
type RawCall struct {
	Number uintptr
	Args   [6]uintptr
	// Result and Errno are what the kernel returned. Made is false where the child did not
	// come that far.
	Result uint64
	Errno  syscall.Errno
	Made   bool
}

// What [RawCall.Number] says of calls that are none: the processor loads the byte at
// Args[0] into Result, or stores the lowest byte of Args[1] there. Where it is refused
// that, the child is killed by the signal.
const (
	CallLoad  = ^uintptr(0)
	CallStore = ^uintptr(0) - 1
)

// ForkCalls makes a copy of this process that holds the same pages, copy-on-write, as
// fork(2) does. The copy makes the calls in their order, whether they succeed or not, and
// ends with status 0. ForkCalls waits for it, fills in what the calls gave, and returns
// how it ended.
//
// The copy is under the rules of [ForkIdle]: all signals are blocked in it, so that one
// which a fault causes kills it, and it has copies of all file descriptors. It leaves no
// core dump, and no handler of those is started, unless one of the calls makes it dumpable
// again (PR_SET_DUMPABLE(2const)).
//
// Precondition: the caller is locked to its thread; the copy is killed when that ends.
func ForkCalls(calls []RawCall) (syscall.WaitStatus, error) {
	size := unsafe.Sizeof(RawCall{}) * uintptr(len(calls))
	shared, err := Mmap(int(size), ProtRead|ProtWrite, MapShared|MapAnonymous, -1, 0)
	if err != nil {
		return 0, os.NewSyscallError("mmap", err)
	}
	defer Munmap(shared)
	list := unsafe.Slice((*RawCall)(unsafe.Pointer(unsafe.SliceData(shared))), len(calls))
	copy(list, calls)
	child := callChild{list: uintptr(unsafe.Pointer(unsafe.SliceData(list))), count: uintptr(len(list)), parent: uintptr(os.Getpid())}
	pid, errno := forkCalls(&child)
	if errno != 0 {
		return 0, os.NewSyscallError("clone", errno)
	}
	var status syscall.WaitStatus
	for {
		_, err = syscall.Wait4(int(pid), &status, 0, nil)
		if err != syscall.EINTR {
			break
		}
	}
	copy(calls, list)
	return status, os.NewSyscallError("wait4", err)
}

// callChild is what the child needs. All of it is made before the fork.
type callChild struct {
	list, count, parent uintptr
	sigmask             uint64
}

//go:nosplit
//go:norace
//go:noinline
func forkCalls(child *callChild) (pid uintptr, errno syscall.Errno) {
	if errno = blockSignals(&child.sigmask); errno != 0 {
		return 0, errno
	}
	pid, errno = rawCall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno == 0 && pid == 0 {
		makeCalls(child)
	}
	restoreSignals(&child.sigmask)
	return pid, errno
}

// makeCalls is the whole life of the child. It does not return.
//
//go:nosplit
//go:norace
//go:noinline
func makeCalls(child *callChild) {
	rawCall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	rawCall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
	parent, _ := rawCall(unix.SYS_GETPPID, 0, 0, 0)
	for at := child.list; parent == child.parent && child.count > 0; child.count-- {
		makeCall(*(**RawCall)(unsafe.Pointer(&at)))
		at += unsafe.Sizeof(RawCall{})
	}
	for {
		rawCall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

//go:nosplit
//go:norace
//go:noinline
func makeCall(c *RawCall) {
	switch c.Number {
	case CallLoad:
		c.Result = uint64(**(**byte)(unsafe.Pointer(&c.Args)))
	case CallStore:
		**(**byte)(unsafe.Pointer(&c.Args)) = byte(c.Args[1])
	default:
		n, _, errno := syscall.RawSyscall6(c.Number, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5])
		c.Result, c.Errno = uint64(n), errno
	}
	c.Made = true
}

// Numbers of system calls for [RawCall].
const (
	CallRead     = unix.SYS_READ
	CallWrite    = unix.SYS_WRITE
	CallMmap     = unix.SYS_MMAP
	CallMunmap   = unix.SYS_MUNMAP
	CallMprotect = unix.SYS_MPROTECT
	CallMlock    = unix.SYS_MLOCK
	CallPrctl    = unix.SYS_PRCTL
	CallVmsplice = unix.SYS_VMSPLICE
	CallMadvise  = unix.SYS_MADVISE
	CallPrlimit  = unix.SYS_PRLIMIT64
	CallBrk      = unix.SYS_BRK

	CallPkeyAlloc    = unix.SYS_PKEY_ALLOC
	CallPkeyMprotect = unix.SYS_PKEY_MPROTECT
)

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// ProcessVMRead reads len(b) bytes at addr of a process into b (process_vm_readv(2)),
// and returns how many it read. The kernel takes the pages of the process itself, and
// not through its page tables: EFAULT where it can't.
func ProcessVMRead(pid int, b []byte, addr uint64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(len(b))
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
	return n, os.NewSyscallError("process_vm_readv", err)
}

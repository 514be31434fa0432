package feature

import (
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var memfdSecret = Feature{
	Name:   "memfd-secret",
	Title:  "memory that the kernel takes out of its own linear map (memfd_secret)",
	Source: "memfd_secret(2)",
	Since:  "6.5", // 6.1 has it switched off: secretmem.enable
	probe:  probeMemfdSecret,
}

// probeMemfdSecret reads a page of secret memory through the kernel's view of it. The
// control reads an ordinary page in the same way.
func probeMemfdSecret() Result {
	ordinary, err := ownPages(1)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(ordinary)
	if call, err := readThroughKernel(ordinary); err != nil {
		return noControl(call+" of ordinary memory", err)
	}
	const control = "process_vm_readv of ordinary memory: ok"
	file, err := sys.MemfdSecret()
	if err != nil {
		return absentIf("memfd_secret", err, control, syscall.ENOSYS)
	}
	defer file.Close()
	if err := file.Truncate(int64(os.Getpagesize())); err != nil {
		return unknown("ftruncate", err)
	}
	secret, err := sys.Mmap(os.Getpagesize(), readWrite, sys.MapShared, int(file.Fd()), 0)
	if err != nil { // EAGAIN: RLIMIT_MEMLOCK
		return unknown("mmap of secret memory", err)
	}
	defer sys.Munmap(secret)
	call, err := readThroughKernel(secret)
	return refused(call+" of secret memory", err, syscall.EFAULT, control)
}

// readThroughKernel writes to the first byte of b, and lets the kernel read it.
func readThroughKernel(b []byte) (call string, err error) {
	const mark = 0x5a
	write(b, mark)
	var got [1]byte
	if _, err := sys.ProcessVMRead(os.Getpid(), got[:], sys.Addr(b)); err != nil {
		return "process_vm_readv", err
	}
	if got[0] != mark {
		return "process_vm_readv, which read another byte,", syscall.EIO
	}
	return "process_vm_readv", nil
}

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Registers are those of a stopped thread.
type Registers = unix.PtraceRegsArm64

// prStatus is the set of general registers (NT_PRSTATUS of linux/elf.h).
const prStatus = 1

// GetRegisters reads them. The thread must be a tracee of the calling one, and stopped (ptrace(2)).
func GetRegisters(tid int, r *Registers) error {
	return os.NewSyscallError("ptrace(GETREGSET)", unix.PtraceGetRegSetArm64(tid, prStatus, r))
}

// SetRegisters writes them, under the same conditions.
func SetRegisters(tid int, r *Registers) error {
	return os.NewSyscallError("ptrace(SETREGSET)", unix.PtraceSetRegSetArm64(tid, prStatus, r))
}

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Registers are those of a stopped thread.
type Registers = unix.PtraceRegs

// GetRegisters reads them. The thread must be a tracee of the calling one, and stopped (ptrace(2)).
func GetRegisters(tid int, r *Registers) error {
	return os.NewSyscallError("ptrace(GETREGS)", unix.PtraceGetRegs(tid, r))
}

// SetRegisters writes them, under the same conditions.
func SetRegisters(tid int, r *Registers) error {
	return os.NewSyscallError("ptrace(SETREGS)", unix.PtraceSetRegs(tid, r))
}

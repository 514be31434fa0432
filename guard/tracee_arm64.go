package guard

import (
	"fmt"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// callInstruction is SVC #0.
var callInstruction = []byte{0x01, 0x00, 0x00, 0xd4}

// indicator is the register in which a stop at a call says to the tracer that it is at its end; the program
// gets back what it had in it (arch/arm64/kernel/ptrace.c).
const indicator = 7

// atStart takes that away again: a program begins with 0 in all registers but the stack pointer.
func atStart(r *sys.Registers) { r.Regs[indicator] = 0 }

func stackOf(r *sys.Registers) uint64 { return r.Sp }

// noCall: the kernel takes up no call again whose result says nothing of it.
func noCall(*sys.Registers) {}

// call makes the program make one system call, and returns what that returned.
func (t *tracee) call(name string, args ...uint64) (uint64, syscall.Errno, error) {
	r := t.regs
	clear(r.Regs[:6])
	copy(r.Regs[:6], args)
	r.Regs[8], r.Pc = uint64(sys.CallNumbers[name]), t.at
	if err := sys.SetRegisters(t.pid, &r); err != nil {
		return 0, 0, err
	}
	for stops := 0; stops < 2; { // where it begins, and where it ends
		if err := syscall.PtraceSyscall(t.pid, 0); err != nil {
			return 0, 0, fmt.Errorf("ptrace(SYSCALL): %w", err)
		}
		var status syscall.WaitStatus
		if _, err := sys.Wait4(t.pid, &status, 0); err != nil {
			return 0, 0, fmt.Errorf("wait4: %w", err)
		}
		if !status.Stopped() {
			return 0, 0, fmt.Errorf("%s: the program ended of it: %s", name, ending(status))
		}
		if syscall.Signal(status>>8) == stopCall { // else it is a signal, which is lost
			stops++
		}
	}
	if err := sys.GetRegisters(t.pid, &r); err != nil {
		return 0, 0, err
	}
	return returned(r.Regs[0])
}

package guard

import (
	"fmt"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// callInstruction is SYSCALL.
var callInstruction = []byte{0x0f, 0x05}

// atStart: nothing is to be put right of what execve(2) has left.
func atStart(*sys.Registers) {}

func stackOf(r *sys.Registers) uint64 { return r.Rsp }

// noCall has the kernel not take up again a call that it might think was interrupted.
func noCall(r *sys.Registers) { r.Orig_rax = ^uint64(0) }

// call makes the program make one system call, and returns what that returned.
func (t *tracee) call(name string, args ...uint64) (uint64, syscall.Errno, error) {
	var a [6]uint64
	copy(a[:], args)
	r := t.regs
	r.Rip = t.at
	r.Rax, r.Orig_rax = uint64(sys.CallNumbers[name]), ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	if err := sys.SetRegisters(t.pid, &r); err != nil {
		return 0, 0, err
	}
	for {
		if err := syscall.PtraceSingleStep(t.pid); err != nil {
			return 0, 0, fmt.Errorf("ptrace(SINGLESTEP): %w", err)
		}
		var status syscall.WaitStatus
		if _, err := sys.Wait4(t.pid, &status, 0); err != nil {
			return 0, 0, fmt.Errorf("wait4: %w", err)
		}
		if !status.Stopped() {
			return 0, 0, fmt.Errorf("%s: the program ended of it: %s", name, ending(status))
		}
		if err := sys.GetRegisters(t.pid, &r); err != nil {
			return 0, 0, err
		}
		if r.Rip != t.at { // else a signal came first, which is lost
			break
		}
	}
	return returned(r.Rax)
}

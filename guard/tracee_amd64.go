package guard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// traceable: calls can be made in a program that has just been executed.
const traceable = true

// tracee is a program between its execve and its first instruction. The calling thread traces it
// (ptrace(2)), and lets it make system calls: they are its own, under all that confines it. Nothing is
// written to its memory: the instruction is one of the vDSO, which every program has.
type tracee struct {
	pid  int
	regs syscall.PtraceRegs // as it will begin
	at   uint64             // of a SYSCALL instruction
}

const word = 8

// stopped takes over a program that is at the end of its execve.
func stopped(pid int) (*tracee, error) {
	t := &tracee{pid: pid}
	if err := syscall.PtraceGetRegs(pid, &t.regs); err != nil {
		return nil, fmt.Errorf("ptrace(GETREGS): %w", err)
	}
	at, err := instructionOf(pid)
	t.at = at
	return t, err
}

// instructionOf finds a SYSCALL instruction in the vDSO of a process (vdso(7)).
func instructionOf(pid int) (uint64, error) {
	line, err := mapping(pid, "[vdso]")
	if err != nil {
		return 0, err
	}
	var start, end uint64
	if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil || end-start > 1<<20 {
		return 0, fmt.Errorf("the vDSO of process %d: %q (%w)", pid, line, err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer memory.Close()
	text := make([]byte, end-start)
	if _, err := memory.ReadAt(text, int64(start)); err != nil {
		return 0, err
	}
	i := bytes.Index(text, []byte{0x0f, 0x05})
	if i < 0 {
		return 0, fmt.Errorf("the vDSO of process %d has no SYSCALL instruction", pid)
	}
	return start + uint64(i), nil
}

// mapping returns the line of a mapping of a process.
func mapping(pid int, name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(line, " "+name+"\n") {
			return line, nil
		}
	}
	return "", fmt.Errorf("process %d has no %s", pid, name)
}

// name is the address of a text of the program: that of its first argument. A program without
// arguments has none.
func (t *tracee) name() uint64 {
	var b [word]byte
	if _, err := syscall.PtracePeekData(t.pid, uintptr(t.regs.Rsp)+word, b[:]); err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

// call makes the program make one system call, and returns what that returned.
func (t *tracee) call(name string, args ...uint64) (uint64, syscall.Errno, error) {
	var a [6]uint64
	copy(a[:], args)
	r := t.regs
	r.Rip = t.at
	r.Rax, r.Orig_rax = uint64(sys.CallNumbers[name]), ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	if err := syscall.PtraceSetRegs(t.pid, &r); err != nil {
		return 0, 0, fmt.Errorf("ptrace(SETREGS): %w", err)
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
		if err := syscall.PtraceGetRegs(t.pid, &r); err != nil {
			return 0, 0, fmt.Errorf("ptrace(GETREGS): %w", err)
		}
		if r.Rip != t.at { // else a signal came first, which is lost
			break
		}
	}
	if n := int64(r.Rax); n < 0 && n > -4096 {
		return 0, syscall.Errno(-n), nil
	}
	return r.Rax, 0, nil
}

// begin makes the program what it was.
func (t *tracee) begin() error {
	r := t.regs
	r.Orig_rax = ^uint64(0)
	if err := syscall.PtraceSetRegs(t.pid, &r); err != nil {
		return fmt.Errorf("ptrace(SETREGS): %w", err)
	}
	return nil
}

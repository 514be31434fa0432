//go:build amd64 || arm64

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
	regs sys.Registers // as it will begin
	at   uint64        // of an instruction that makes a system call
}

const word = 8

// stopped takes over a program that is at the end of its execve.
func stopped(pid int) (*tracee, error) {
	t := &tracee{pid: pid}
	if err := sys.GetRegisters(pid, &t.regs); err != nil {
		return nil, err
	}
	atStart(&t.regs)
	at, err := instructionOf(pid)
	t.at = at
	return t, err
}

// instructionOf finds an instruction that makes a system call in the vDSO of a process (vdso(7)).
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
	i := bytes.Index(text, callInstruction)
	if i < 0 {
		return 0, fmt.Errorf("the vDSO of process %d has no instruction for system calls", pid)
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
	if _, err := syscall.PtracePeekData(t.pid, uintptr(stackOf(&t.regs))+word, b[:]); err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

// begin makes the program what it was.
func (t *tracee) begin() error {
	r := t.regs
	noCall(&r)
	return sys.SetRegisters(t.pid, &r)
}

// returned reads what a system call has left in the register for it.
func returned(value uint64) (uint64, syscall.Errno, error) {
	if n := int64(value); n < 0 && n > -4096 {
		return 0, syscall.Errno(-n), nil
	}
	return value, 0, nil
}

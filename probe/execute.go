package probe

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// ran is the status with which the programs, and the number with which the code of
// experiments ends.
const ran = 42

// Ran says that a program or code was executed.
const Ran Answer = "ran"

// program is the smallest ELF file that ends with status [ran].
func program() []byte {
	const base, headers = 0x400000, 64 + 56
	code := sys.ExitCode(ran)
	b := make([]byte, headers, headers+len(code))
	copy(b, "\x7fELF\x02\x01\x01") // 64 bits, little endian, version 1
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2) // ET_EXEC
	le.PutUint16(b[18:], sys.ELFMachine)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], base+headers) // entry
	le.PutUint64(b[32:], 64)           // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	p := b[64:]
	le.PutUint32(p[0:], 1) // PT_LOAD
	le.PutUint32(p[4:], 5) // R X
	le.PutUint64(p[16:], base)
	le.PutUint64(p[24:], base)
	le.PutUint64(p[32:], uint64(headers+len(code)))
	le.PutUint64(p[40:], uint64(headers+len(code)))
	le.PutUint64(p[48:], 0x1000)
	return append(b, code...)
}

// execute runs the program in an open file.
func execute(f *os.File) Answer {
	cmd := &exec.Cmd{Path: "/proc/self/fd/3", Args: []string{"probe"}, ExtraFiles: []*os.File{f},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == ran:
		return Ran
	case errors.As(err, &ended):
		return answerf("%v", ended)
	}
	return answer(err)
}

// call runs the machine code in mapped memory, as far as the processor lets it.
func call(b []byte) Answer {
	n := 0
	if a := faulting(func() { n = sys.CallCode(b) }); a != OK {
		return a
	}
	if n != ran {
		return answerf("returned %d", n)
	}
	return Ran
}

// coded is a memfd whose first page is code.
func (t *trial) coded(flags int) *os.File {
	f := t.memfd(flags, 1)
	_, err := f.WriteAt(sys.ReturnCode(ran), 0)
	t.must("write to a memfd", err)
	return f
}

// programFile is a memfd that holds [program].
func (t *trial) programFile(flags int) *os.File {
	f := t.memfd(flags, 0)
	_, err := f.Write(program())
	t.must("write to a memfd", err)
	return f
}

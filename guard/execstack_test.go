package guard_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestExecutableStack: execve gives a program that is linked so a stack that is writable and executable,
// whatever the rules: it is seen, and not started.
func TestExecutableStack(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is of amd64")
	}
	dir := filepath.Dir(victim(t))
	for name, flags := range map[string]uint32{"plain": 6, "executable": 7} {
		file := filepath.Join(dir, "stack-"+name)
		if err := os.WriteFile(file, stackProgram(flags), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(file).Run(); err != nil {
			t.Fatalf("%s without rules: %v", name, err)
		}
		out, err := launcher("wx", leftOut(), file).CombinedOutput()
		if name == "plain" && err != nil {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		if name == "executable" && (err == nil || !bytes.Contains(out, []byte("noexecstack"))) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// stackProgram is a program that ends with status 0, with the flags of its stack (elf(5), PT_GNU_STACK).
func stackProgram(flags uint32) []byte {
	code := []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05} // xor edi, edi; mov eax, 60 (exit); syscall
	const base, headers = 0x400000, 64 + 2*56
	size := uint64(headers + len(code))
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le := binary.LittleEndian
	half := func(all ...uint16) {
		for _, v := range all {
			b = le.AppendUint16(b, v)
		}
	}
	long := func(all ...uint64) {
		for _, v := range all {
			b = le.AppendUint64(b, v)
		}
	}
	half(2, 62, 1, 0) // ET_EXEC, EM_X86_64, version 1
	long(base+headers, 64, 0)
	half(0, 0, 64, 56, 2, 0, 0, 0)
	long(1|5<<32, 0, base, base, size, size, page)        // PT_LOAD, readable and executable
	long(0x6474e551|uint64(flags)<<32, 0, 0, 0, 0, 0, 16) // PT_GNU_STACK
	return append(b, code...)
}

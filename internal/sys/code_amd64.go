package sys

import "encoding/binary"

// ReturnCode is machine code that returns n, from 0 to 127.
func ReturnCode(n byte) []byte {
	return []byte{0xb8, n, 0, 0, 0, 0xc3} // mov eax, n; ret
}

// ExitCode is machine code that ends the process with status n.
func ExitCode(n byte) []byte {
	return []byte{
		0xbf, n, 0, 0, 0, // mov edi, n
		0xb8, 231, 0, 0, 0, // mov eax, exit_group
		0x0f, 0x05, // syscall
	}
}

// ELFMachine is the number of this architecture in ELF files (e_machine).
const ELFMachine = 62 // EM_X86_64

// UndefinedCode is an instruction that no processor has.
func UndefinedCode() []byte { return []byte{0x0f, 0x0b} } // ud2

// FlushInstruction is an instruction that writes a cache line back to memory.
type FlushInstruction struct {
	Name string
	Flag string // in /proc/cpuinfo
	// Code is the instruction for the cache line at an address. It goes on afterwards.
	Code func(addr uint64) []byte
}

// FlushInstructions are those of this architecture.
var FlushInstructions = []FlushInstruction{
	{"clflush", "clflush", flush(0x0f, 0xae, 0x38)},
	{"clflushopt", "clflushopt", flush(0x66, 0x0f, 0xae, 0x38)},
	{"clwb", "clwb", flush(0x66, 0x0f, 0xae, 0x30)},
}

// flush is an instruction whose operand is what RAX points to.
func flush(instruction ...byte) func(uint64) []byte {
	return func(addr uint64) []byte {
		return append(binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8}, addr), instruction...) // mov rax, addr
	}
}

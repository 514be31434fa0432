package sys

import "encoding/binary"

// ReturnCode is machine code that returns n, from 0 to 127.
func ReturnCode(n byte) []byte {
	code := []byte{0x00, 0x00, 0x80, 0xd2, 0xc0, 0x03, 0x5f, 0xd6} // mov x0, #n; ret
	code[0], code[1] = n<<5, n>>3
	return code
}

// ExitCode is machine code that ends the process with status n.
func ExitCode(n byte) []byte {
	code := []byte{
		0x00, 0x00, 0x80, 0xd2, // mov x0, #n
		0xc8, 0x0b, 0x80, 0xd2, // mov x8, #94 (exit_group)
		0x01, 0x00, 0x00, 0xd4, // svc #0
	}
	code[0], code[1] = n<<5, n>>3
	return code
}

// ELFMachine is the number of this architecture in ELF files (e_machine).
const ELFMachine = 183 // EM_AARCH64

// UndefinedCode is an instruction that no processor has.
func UndefinedCode() []byte { return []byte{0, 0, 0, 0} } // udf #0

// FlushInstruction is an instruction that writes a cache line back to memory.
type FlushInstruction struct {
	Name string
	Flag string // in /proc/cpuinfo
	// Code is the instruction for the cache line at an address. It goes on afterwards.
	Code func(addr uint64) []byte
}

// FlushInstructions are those of this architecture.
var FlushInstructions = []FlushInstruction{
	{"dc-cvac", "fp", flush(0xd50b7a20)}, // every processor has it; Linux lets programs use it
	{"dc-cvap", "dcpop", flush(0xd50b7c20)},
}

// flush is an instruction whose operand is x0.
func flush(instruction uint32) func(uint64) []byte {
	return func(addr uint64) []byte {
		var code []byte
		for i := range uint32(4) { // movz, movk x0, #part, lsl #16*i
			word := uint32(0xf2800000)
			if i == 0 {
				word = 0xd2800000
			}
			code = binary.LittleEndian.AppendUint32(code, word|i<<21|uint32(addr>>(16*i)&0xffff)<<5)
		}
		return binary.LittleEndian.AppendUint32(code, instruction)
	}
}

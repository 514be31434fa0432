// Package minimal has the smallest program that there is: it reads a byte from standard input and ends with
// status 0, is static, and needs nothing of the machine that it runs on. Tests execute it where there is no
// other program, and where it matters what one maps.
package minimal

import (
	"encoding/binary"
	"runtime"
)

// Machine code that reads a byte from standard input, onto its stack, and ends with status 0.
var code = map[string][]byte{
	"amd64": {
		0x31, 0xff, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x05, // read(0, rsp, 1)
		0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, // exit(0)
	},
	"arm64": {
		0, 0, 0x80, 0xd2, 0xe1, 0x03, 0, 0x91, 0x22, 0, 0x80, 0xd2, 0xe8, 0x07, 0x80, 0xd2, 1, 0, 0, 0xd4, // read(0, sp, 1)
		0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4, // exit(0)
	},
}

// Flags of a stack (elf(5), PT_GNU_STACK).
const (
	PlainStack      = 6
	ExecutableStack = 7
)

// Base is where a program is in memory, from its first byte on.
const Base = 0x400000

// Program is the text of a program for this architecture, with the flags of its stack.
func Program(stack uint32) []byte {
	text := code[runtime.GOARCH]
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH] // EM_X86_64, EM_AARCH64
	const headers = 64 + 2*56
	size := uint64(headers + len(text))
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
	half(2, machine, 1, 0) // ET_EXEC, version 1
	long(Base+headers, 64, 0)
	half(0, 0, 64, 56, 2, 0, 0, 0)
	long(1|5<<32, 0, Base, Base, size, size, 0x10000)     // PT_LOAD, readable and executable
	long(0x6474e551|uint64(stack)<<32, 0, 0, 0, 0, 0, 16) // PT_GNU_STACK
	return append(b, text...)
}

package sys

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

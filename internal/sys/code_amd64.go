package sys

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

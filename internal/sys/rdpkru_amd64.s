#include "textflag.h"

// func ReadPKRU() uint32
//
// RDPKRU wants 0 in ECX, and leaves the register in EAX and 0 in EDX. It is an invalid
// opcode where the kernel has not set CR4.PKE.
TEXT ·ReadPKRU(SB), NOSPLIT, $0-4
	XORL CX, CX
	BYTE $0x0f; BYTE $0x01; BYTE $0xee
	MOVL AX, ret+0(FP)
	RET

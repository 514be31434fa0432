#include "textflag.h"

// func WritePKRU(rights uint32)
//
// WRPKRU wants the value in EAX, and 0 in ECX and EDX. No access to memory is moved
// across it. It is an invalid opcode where the kernel has not set CR4.PKE.
TEXT ·WritePKRU(SB), NOSPLIT, $0-4
	MOVL rights+0(FP), AX
	XORL CX, CX
	XORL DX, DX
	BYTE $0x0f; BYTE $0x01; BYTE $0xef
	RET

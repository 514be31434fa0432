#include "textflag.h"

// func Prefetch(p unsafe.Pointer, n uintptr)
//
// Preconditions: none; PREFETCHW does not fault, and on a CPU without it does nothing.
TEXT ·Prefetch(SB), NOSPLIT, $0-16
	MOVQ  p+0(FP), AX
	MOVQ  n+8(FP), CX
	TESTQ CX, CX
	JZ    done
	ADDQ  AX, CX
	ANDQ  $~63, AX
line:
	BYTE  $0x0f; BYTE $0x0d; BYTE $0x08 // PREFETCHW (AX)
	ADDQ  $64, AX
	CMPQ  AX, CX
	JCS   line
done:
	RET

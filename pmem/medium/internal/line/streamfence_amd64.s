#include "textflag.h"
#include "lines_amd64.h"

// func StreamFence(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: dst and n are multiples of 8, both ranges are mapped and don't overlap.
// Postconditions: the bytes have left the CPU, and so has what the thread streamed, and
// flushed other than by CLFLUSH, before.
TEXT ·StreamFence(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	STREAM(done)
done:
	SFENCE
	RET

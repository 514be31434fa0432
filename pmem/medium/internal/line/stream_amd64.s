#include "textflag.h"
#include "lines_amd64.h"

// func Stream(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: dst and n are multiples of 8, both ranges are mapped and don't overlap.
// Postconditions: the bytes are stored; the thread's next fence waits until they have left the
// CPU.
TEXT ·Stream(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	STREAM(done)
done:
	RET

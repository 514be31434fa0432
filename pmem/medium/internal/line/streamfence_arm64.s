#include "textflag.h"
#include "lines_arm64.h"

// func StreamFence(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: dst and n are multiples of 8, both ranges are mapped and don't overlap.
// Postconditions: the bytes are at the point of persistence, and so is what the thread flushed
// and streamed before.
TEXT ·StreamFence(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R6
	MOVD src+8(FP), R5
	MOVD n+16(FP), R1
	WORDS(done)
	MOVD dst+0(FP), R0
	MOVD n+16(FP), R1
	DMB  $0xf // SY
	LINES(done)
done:
	DSB  $0xf // SY
	RET

#include "textflag.h"
#include "lines_arm64.h"

// func Stream(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: dst and n are multiples of 8, both ranges are mapped and don't overlap.
// Postconditions: the bytes are stored, and the cleaning of their lines has begun; the
// thread's next fence waits for it.
TEXT ·Stream(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R6
	MOVD src+8(FP), R5
	MOVD n+16(FP), R1
	WORDS(done)
	MOVD dst+0(FP), R0
	MOVD n+16(FP), R1
	DMB  $0xf // SY
	LINES(done)
done:
	RET

#include "textflag.h"
#include "lines_arm64.h"

// func StoreFlushFence(p unsafe.Pointer, v uint64)
//
// Preconditions: p is a multiple of 8 and mapped. Postconditions: the word was stored by one
// move, after all stores before it, and its line is at the point of persistence.
TEXT ·StoreFlushFence(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD v+8(FP), R5
	STLR R5, (R0)
	MOVD $8, R1
	DMB  $0xf // SY
	LINES(done)
done:
	DSB  $0xf // SY
	RET

#include "textflag.h"
#include "lines_arm64.h"

// func FlushFence(p unsafe.Pointer, n uintptr)
//
// Preconditions: [p, p+n) is mapped. Postconditions: each line that it touches is at the point
// of persistence, and so is what the thread flushed and streamed before.
TEXT ·FlushFence(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	DMB  $0xf // SY
	LINES(done)
done:
	DSB  $0xf // SY
	RET

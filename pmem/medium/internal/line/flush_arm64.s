#include "textflag.h"
#include "lines_arm64.h"

// func Flush(p unsafe.Pointer, n uintptr)
//
// Preconditions: [p, p+n) is mapped. Postconditions: the cleaning of each line that it touches
// has begun, after all stores of the thread before; the thread's next fence waits for it.
TEXT ·Flush(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	DMB  $0xf // SY
	LINES(done)
done:
	RET

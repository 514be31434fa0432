#include "textflag.h"
#include "lines_amd64.h"

// func Flush(p unsafe.Pointer, n uintptr)
//
// Preconditions: [p, p+n) is mapped. Postconditions: the write-back of each line that it
// touches has begun; the thread's next fence waits for it.
TEXT ·Flush(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), CX
	LINES(done, done)
done:
	RET

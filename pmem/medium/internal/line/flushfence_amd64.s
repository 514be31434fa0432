#include "textflag.h"
#include "lines_amd64.h"

// func FlushFence(p unsafe.Pointer, n uintptr)
//
// Preconditions: [p, p+n) is mapped. Postconditions: each line that it touches has left the
// caches, and so has what the thread flushed and streamed before.
TEXT ·FlushFence(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), CX
	LINES(done, strong)
strong:
	MFENCE
	RET
done:
	SFENCE
	RET

#include "textflag.h"
#include "lines_amd64.h"

// func StoreFlushFence(p unsafe.Pointer, v uint64)
//
// Preconditions: p is a multiple of 8 and mapped. Postconditions: the word was stored by one
// move, and its line has left the caches.
TEXT ·StoreFlushFence(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ v+8(FP), BX
	MOVQ BX, (AX)
	CMPB ·how(SB), CLFLUSHOPT_
	JEQ  opt
	JHI  plain
	CLWB (AX)
	SFENCE
	RET
opt:
	CLFLUSHOPT (AX)
	SFENCE
	RET
plain:
	CLFLUSH (AX)
	MFENCE
	RET

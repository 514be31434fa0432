#include "textflag.h"
#include "lines_amd64.h"

// func Fence()
//
// Postconditions: what the thread flushed and streamed before has left the CPU.
TEXT ·Fence(SB), NOSPLIT, $0-0
	CMPB ·how(SB), CLFLUSH_
	JEQ  strong
	SFENCE
	RET
strong:
	MFENCE
	RET

#include "textflag.h"

// func Fence()
//
// Postconditions: what the thread flushed and streamed before is at the point of persistence.
TEXT ·Fence(SB), NOSPLIT, $0-0
	DSB $0xf // SY
	RET

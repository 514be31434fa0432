#include "textflag.h"

// func Call(entry uintptr, arg uint64) uint64
TEXT ·Call(SB), 0, $256-24
	MOVQ arg+8(FP), DI
	MOVQ entry+0(FP), AX
	CALL AX
	MOVQ AX, ret+16(FP)
	RET

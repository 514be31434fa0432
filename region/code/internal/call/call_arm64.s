#include "textflag.h"

// func Call(entry uintptr, arg uint64) uint64
TEXT ·Call(SB), 0, $256-24
	MOVD arg+8(FP), R0
	MOVD entry+0(FP), R9
	CALL (R9)
	MOVD R0, ret+16(FP)
	RET

#include "textflag.h"

// func Prefetch(p unsafe.Pointer, n uintptr)
//
// Preconditions: none; a prefetch does not fault.
TEXT ·Prefetch(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	CBZ  R1, done
	ADD  R0, R1, R1
	BIC  $63, R0, R0
line:
	PRFM (R0), PSTL1KEEP
	ADD  $64, R0
	CMP  R1, R0
	BLO  line
done:
	RET

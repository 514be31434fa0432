#include "textflag.h"

// func Copy(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: both ranges are mapped and don't overlap. Postconditions: the bytes are
// stored, in ascending order of address, by naturally aligned moves of at most a word. They
// are store-releases: plain stores have no order on this architecture.
TEXT ·Copy(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R6
	MOVD src+8(FP), R5
	MOVD n+16(FP), R1

	// Parts of the first word.
	TBZ    $0, R6, two
	CBZ    R1, none
	MOVBU.P 1(R5), R7
	STLRB  R7, (R6)
	ADD    $1, R6
	SUB    $1, R1
two:
	TBZ    $1, R6, four
	CMP    $2, R1
	BLO    tail
	MOVHU.P 2(R5), R7
	STLRH  R7, (R6)
	ADD    $2, R6
	SUB    $2, R1
four:
	TBZ    $2, R6, word
	CMP    $4, R1
	BLO    tail
	MOVWU.P 4(R5), R7
	STLRW  R7, (R6)
	ADD    $4, R6
	SUB    $4, R1
word:
	CMP    $8, R1
	BLO    tail
	MOVD.P 8(R5), R7
	STLR   R7, (R6)
	ADD    $8, R6
	SUB    $8, R1
	B      word

	// Fewer than 8 bytes are left, and R6 is at least as aligned as they are many.
tail:
	TBZ    $2, R1, tail2
	MOVWU.P 4(R5), R7
	STLRW  R7, (R6)
	ADD    $4, R6
tail2:
	TBZ    $1, R1, tail1
	MOVHU.P 2(R5), R7
	STLRH  R7, (R6)
	ADD    $2, R6
tail1:
	TBZ    $0, R1, none
	MOVBU  (R5), R7
	STLRB  R7, (R6)
none:
	RET

#include "textflag.h"

// func Copy(dst, src unsafe.Pointer, n uintptr)
//
// Preconditions: both ranges are mapped and don't overlap. Postconditions: the bytes are
// stored, in ascending order of address, by naturally aligned moves of at most a word; where
// the CPU has AVX, two words by one move of 16 aligned bytes, which Intel and AMD then make
// atomic.
TEXT ·Copy(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	TESTQ $7, DI
	JZ    words

	// Parts of the first word.
	TESTQ $1, DI
	JZ    two
	SUBQ  $1, CX
	JCS   none
	MOVB  (SI), AX
	MOVB  AX, (DI)
	ADDQ  $1, SI
	ADDQ  $1, DI
two:
	TESTQ $2, DI
	JZ    four
	CMPQ  CX, $2
	JCS   tail
	MOVW  (SI), AX
	MOVW  AX, (DI)
	ADDQ  $2, SI
	ADDQ  $2, DI
	SUBQ  $2, CX
four:
	TESTQ $4, DI
	JZ    words
	CMPQ  CX, $4
	JCS   tail
	MOVL  (SI), AX
	MOVL  AX, (DI)
	ADDQ  $4, SI
	ADDQ  $4, DI
	SUBQ  $4, CX

words:
	CMPQ  CX, $64
	JCS   word
	CMPB  ·wide(SB), $0
	JEQ   word
	TESTQ $8, DI
	JZ    pairs
	MOVQ  (SI), AX
	MOVQ  AX, (DI)
	ADDQ  $8, SI
	ADDQ  $8, DI
	SUBQ  $8, CX
pairs:
	SUBQ  $64, CX
	JCS   few
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOA X0, (DI)
	MOVOA X1, 16(DI)
	MOVOA X2, 32(DI)
	MOVOA X3, 48(DI)
	ADDQ  $64, SI
	ADDQ  $64, DI
	JMP   pairs
few:
	ADDQ  $64, CX
word:
	SUBQ  $8, CX
	JCS   last
	MOVQ  (SI), AX
	MOVQ  AX, (DI)
	ADDQ  $8, SI
	ADDQ  $8, DI
	JMP   word
last:
	ADDQ  $8, CX

	// Fewer than 8 bytes are left, and DI is at least as aligned as they are many.
tail:
	TESTQ $4, CX
	JZ    tail2
	MOVL  (SI), AX
	MOVL  AX, (DI)
	ADDQ  $4, SI
	ADDQ  $4, DI
tail2:
	TESTQ $2, CX
	JZ    tail1
	MOVW  (SI), AX
	MOVW  AX, (DI)
	ADDQ  $2, SI
	ADDQ  $2, DI
tail1:
	TESTQ $1, CX
	JZ    none
	MOVB  (SI), AX
	MOVB  AX, (DI)
none:
	RET

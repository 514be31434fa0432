// LINES cleans the lines of R1 bytes at R0 to the point of persistence, which are none where
// R1 is 0, and goes on at label done. It uses R2 to R4. The size of a line is 4 bytes shifted
// by CTR_EL0.DminLine.
#define LINES(done) \
	CBZ  R1, done      \
	MRS  CTR_EL0, R2   \
	UBFX $16, R2, $4, R2 \
	MOVD $4, R3        \
	LSL  R2, R3, R3    \
	ADD  R0, R1, R1    \
	SUB  $1, R3, R4    \
	BIC  R4, R0, R0    \
clean:                 \
	DC   CVAP, R0      \
	ADD  R3, R0, R0    \
	CMP  R1, R0        \
	BLO  clean

// WORDS stores R1 bytes, a multiple of 8, from R5 at R6, in order. It uses R7.
#define WORDS(done) \
	CBZ  R1, done      \
word:                  \
	MOVD.P 8(R5), R7   \
	STLR R7, (R6)      \
	ADD  $8, R6        \
	SUBS $8, R1, R1    \
	BNE  word

// The numbers of cpu_amd64.go.
#define CLFLUSHOPT_ $1
#define CLFLUSH_ $2

// LINES writes back the lines of CX bytes at AX, which are none where CX is 0, and goes on at
// label done. After CLFLUSH it goes on at strong. It uses DX.
#define LINES(done, strong) \
	TESTQ CX, CX            \
	JZ    done              \
	ADDQ  AX, CX            \
	ANDQ  $~63, AX          \
	CMPB  ·how(SB), CLFLUSHOPT_ \
	JEQ   opt               \
	JHI   plain             \
clwb:                       \
	CLWB  (AX)              \
	ADDQ  $64, AX           \
	CMPQ  AX, CX            \
	JCS   clwb              \
	JMP   done              \
opt:                        \
	CLFLUSHOPT (AX)         \
	ADDQ  $64, AX           \
	CMPQ  AX, CX            \
	JCS   opt               \
	JMP   done              \
plain:                      \
	CLFLUSH (AX)            \
	ADDQ  $64, AX           \
	CMPQ  AX, CX            \
	JCS   plain             \
	JMP   strong

// STREAM stores CX bytes from SI at DI with non-temporal moves, and goes on at label done: by
// words until DI starts a line, whole lines, the rest by words. It uses AX and X0 to X3.
#define STREAM(done) \
head:                 \
	TESTQ   $63, DI   \
	JZ      lines     \
	SUBQ    $8, CX    \
	JCS     done      \
	MOVQ    (SI), AX  \
	MOVNTIQ AX, (DI)  \
	ADDQ    $8, SI    \
	ADDQ    $8, DI    \
	JMP     head      \
lines:                \
	SUBQ    $64, CX   \
	JCS     rest      \
	MOVOU   (SI), X0  \
	MOVOU   16(SI), X1 \
	MOVOU   32(SI), X2 \
	MOVOU   48(SI), X3 \
	MOVNTO  X0, (DI)  \
	MOVNTO  X1, 16(DI) \
	MOVNTO  X2, 32(DI) \
	MOVNTO  X3, 48(DI) \
	ADDQ    $64, SI   \
	ADDQ    $64, DI   \
	JMP     lines     \
rest:                 \
	ADDQ    $64, CX   \
words:                \
	SUBQ    $8, CX    \
	JCS     done      \
	MOVQ    (SI), AX  \
	MOVNTIQ AX, (DI)  \
	ADDQ    $8, SI    \
	ADDQ    $8, DI    \
	JMP     words

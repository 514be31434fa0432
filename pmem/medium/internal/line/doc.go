// Package line is what the CPU does with cache lines: write back, store past the caches, and
// wait for both. One assembly routine a file and architecture.
//
// amd64 writes back with CLWB, else CLFLUSHOPT, else CLFLUSH, streams with MOVNTI and MOVNTDQ,
// and waits with SFENCE; after CLFLUSH, which SFENCE does not order on all CPUs, with MFENCE
// (Intel SDM volume 2, CLFLUSH, CLFLUSHOPT, CLWB, SFENCE; AMD APM volume 3). arm64 cleans to
// the point of persistence with DC CVAP, and waits with DSB (Arm ARM, FEAT_DPB); it has no
// stores past the caches, so streaming is storing and cleaning.
//
// Each routine is NOSPLIT and runs on one thread from begin to end: the Go runtime does not
// interrupt assembly. The garbage collector waits for it, so callers cut what is longer than
// [Most]. The addresses are mapped memory outside the Go heap, except for sources.
package line

// Most is how many bytes a call should be given at most.
const Most = 64 << 10

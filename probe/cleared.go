package probe

import (
	"github.com/cilium/ebpf/asm"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// freedPages is how many pages are given back, to be looked at in the kernel's linear map.
const freedPages = 16

// zeroes are found in memory that was cleared.
const zeroes Answer = "zeroes"

// clearedProbes look at page frames by the kernel's linear map: what is left in them when
// their owner has given them back.
func clearedProbes() []Probe {
	needs := Needs{Privilege: "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYSLOG", Alone: true}
	return []Probe{{
		ID: "kd-init-free", Since: "5.3", Source: docParameters + ", init_on_free", Requirement: "SV-KCT-02",
		Severity: guarantee.Low, Needs: needs,
		Claim:      "the kernel clears memory when it is freed",
		Experiment: "16 anonymous pages, unmapped; bpf_probe_read_kernel of their page frames",
		Control:    "pages that are kept; pages that hold zeroes",
		Oracle:     "zeroes: confirmed; the bytes, in one of them: refuted",
		Remedy:     "Overwrite secrets before their memory is freed, or boot with init_on_free=1.",
		run: func(t *trial) {
			base := t.linearMap()
			untouched := t.untouched(freedPages)
			clear(untouched)
			compare(t, experiment[[]uint64]{try: "bpf_probe_read_kernel", do: func(frames []uint64) Answer {
				return t.remains(base, frames)
			},
				on: "pages that were unmapped", subject: t.freed(), confirms: []Answer{zeroes}, refutes: []Answer{TheBytes},
				controls: []control[[]uint64]{{"pages that are kept", t.frames(t.anon(freedPages)), TheBytes},
					{"pages that hold zeroes", t.frames(untouched), zeroes}}})
		},
	}}
}

// frames returns the page frames of b.
func (t *trial) frames(b []byte) []uint64 {
	frames := make([]uint64, 0, len(b)/pageSize)
	for i := 0; i < len(b); i += pageSize {
		frames = append(frames, t.frame(b[i:]))
	}
	return frames
}

// freed returns the page frames of pages that were filled, and that this process has no more.
func (t *trial) freed() []uint64 {
	b := t.anon(freedPages)
	frames := t.frames(b)
	t.must("munmap", sys.Munmap(b))
	return frames
}

// remains says what stands in page frames: the bytes, where one of them has them. Somebody
// else may have some by now.
func (t *trial) remains(base uint64, frames []uint64) Answer {
	found := Answer("other bytes")
	for _, frame := range frames {
		switch a := t.bpfReads(asm.FnProbeReadKernel, base+frame*uint64(pageSize)); a {
		case TheBytes:
			return a
		case zeroes:
			found = a
		}
	}
	return found
}

package probe

import (
	"os"

	"github.com/safevma/safevma/internal/sys"
)

const manSeals = "F_GET_SEALS(2const)"

// sealProbe tries something on a sealed memfd and on one that is not.
func sealProbe(id, claim, try, on string, seals int, confirms, refutes []Answer, unsealed Answer, do func(*trial, *os.File) Answer) Probe {
	return Probe{
		ID: id, Subject: Memfd, Since: "3.17", Source: manSeals, Claim: claim,
		Experiment: try + " on " + on, Control: "the same on a memfd without seals",
		Oracle: join(confirms) + ": confirmed; " + join(refutes) + ": refuted",
		run: func(t *trial) {
			compare(t, experiment[*os.File]{try: try, do: func(f *os.File) Answer { return do(t, f) },
				on: on, subject: t.sealed(2, seals), confirms: confirms, refutes: refutes,
				controls: []control[*os.File]{{"a memfd without seals", t.memfd(sys.MfdAllowSealing|t.exec(), 2),
					unsealed}}})
		},
	}
}

func sealProbes() []Probe {
	eperm, ok := []Answer{"EPERM"}, []Answer{OK}
	all := []Probe{
		sealProbe("seal-write", "F_SEAL_WRITE refuses write(2)", "write", "a memfd with F_SEAL_WRITE", sys.SealWrite, eperm,
			ok, OK,
			func(_ *trial, f *os.File) Answer { _, err := f.WriteAt([]byte{1}, 0); return answer(err) }),
		sealProbe("seal-write-map", "F_SEAL_WRITE refuses shared writable mappings",
			"mmap(PROT_READ|PROT_WRITE, MAP_SHARED)", "a memfd with F_SEAL_WRITE", sys.SealWrite, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer {
				_, err := sys.Mmap(pageSize, rw, shared, int(f.Fd()), 0)
				return answer(err)
			}),
		sealProbe("seal-shrink", "F_SEAL_SHRINK refuses a smaller size", "ftruncate to one page",
			"a memfd with F_SEAL_SHRINK", sys.SealShrink, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer { return answer(f.Truncate(int64(pageSize))) }),
		sealProbe("seal-grow", "F_SEAL_GROW refuses a bigger size", "ftruncate to three pages", "a memfd with F_SEAL_GROW",
			sys.SealGrow, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer { return answer(f.Truncate(int64(3 * pageSize))) }),
		sealProbe("seal-hole", "F_SEAL_WRITE refuses to punch holes", "fallocate(FALLOC_FL_PUNCH_HOLE)",
			"a memfd with F_SEAL_WRITE", sys.SealWrite, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer { return answer(sys.PunchHole(f, 0, int64(pageSize))) }),
		sealProbe("seal-seal", "F_SEAL_SEAL refuses further seals", "F_ADD_SEALS(F_SEAL_GROW)", "a memfd with F_SEAL_SEAL",
			sys.SealSeal, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer { return answer(sys.AddSeals(f, sys.SealGrow)) }),
		sealProbe("seal-future-map", "F_SEAL_FUTURE_WRITE refuses new shared writable mappings",
			"mmap(PROT_READ|PROT_WRITE, MAP_SHARED)", "a memfd with F_SEAL_FUTURE_WRITE", sys.SealFutureWrite, eperm, ok, OK,
			func(_ *trial, f *os.File) Answer {
				_, err := sys.Mmap(pageSize, rw, shared, int(f.Fd()), 0)
				return answer(err)
			}),
		sealProbe("seal-future-mprotect", "a read-only mapping of a memfd with F_SEAL_FUTURE_WRITE can't become writable",
			"mmap(PROT_READ, MAP_SHARED), mprotect(PROT_WRITE)",
			"a memfd with F_SEAL_FUTURE_WRITE", sys.SealFutureWrite, []Answer{"EACCES"}, ok, OK,
			func(t *trial, f *os.File) Answer {
				return answer(sys.Mprotect(t.mapped(1, sys.ProtRead, shared, f), rw))
			}),
	}
	all[6].Since, all[7].Since = "5.1", "5.1"
	for i := range all {
		if all[i].ID == "seal-write" || all[i].ID == "seal-write-map" {
			all[i].Requirement = "SV-INT-01"
		}
	}
	return append(append(all, sealReadMap()), sealOrderProbes()...)
}

// sealReadMap is what read-only data for others is made of.
func sealReadMap() Probe {
	type how struct {
		seals, prot int
	}
	return Probe{
		ID: "seal-write-readmap", Subject: Memfd, Since: "3.17", Source: manSeals,
		Claim:      "a memfd with F_SEAL_WRITE can be mapped shared and read-only",
		Experiment: "mmap(PROT_READ, MAP_SHARED) of a memfd with F_SEAL_WRITE",
		Control:    "the same writable, and of a memfd without seals",
		Oracle:     "ok: confirmed; EPERM: refuted",
		run: func(t *trial) {
			compare(t, experiment[how]{try: "mmap(MAP_SHARED)", do: func(h how) Answer {
				_, err := sys.Mmap(pageSize, h.prot, shared, int(t.sealed(1, h.seals).Fd()), 0)
				return answer(err)
			},
				on: "a memfd with F_SEAL_WRITE, PROT_READ", subject: how{sys.SealWrite, sys.ProtRead},
				confirms: []Answer{OK}, refutes: []Answer{"EPERM"},
				controls: []control[how]{
					{"a memfd with F_SEAL_WRITE, PROT_READ|PROT_WRITE", how{sys.SealWrite, rw}, "EPERM"},
					{"a memfd without seals, PROT_READ|PROT_WRITE", how{0, rw}, OK}}})
		},
	}
}

// sealOrderProbes are about mappings that are there before a seal.
func sealOrderProbes() []Probe {
	sealAfter := func(t *trial, prot, seals int) func(bool) Answer {
		return func(mapped bool) Answer {
			f := t.memfd(sys.MfdAllowSealing|t.exec(), 1)
			if mapped {
				t.mapped(1, prot, shared, f)
			}
			return answer(sys.AddSeals(f, seals))
		}
	}
	order := func(id, claim string, prot, seals int, try string, confirms, refutes []Answer) Probe {
		return Probe{
			ID: id, Subject: Memfd, Since: "3.17", Source: manSeals, Claim: claim,
			Experiment: try + " on a memfd with a shared mapping",
			Control:    "the same without a mapping, and F_SEAL_WRITE with a writable one",
			Oracle:     join(confirms) + ": confirmed; " + join(refutes) + ": refuted",
			run: func(t *trial) {
				compare(t, experiment[func() Answer]{try: try, do: func(f func() Answer) Answer { return f() },
					on: "a memfd with a shared mapping", subject: func() Answer { return sealAfter(t, prot, seals)(true) },
					confirms: confirms, refutes: refutes,
					controls: []control[func() Answer]{
						{"a memfd without a mapping", func() Answer { return sealAfter(t, prot, seals)(false) }, OK},
						{"a memfd with a writable mapping, F_SEAL_WRITE",
							func() Answer { return sealAfter(t, rw, sys.SealWrite)(true) }, "EBUSY"}}})
			},
		}
	}
	busy, ok := []Answer{"EBUSY"}, []Answer{OK}
	return []Probe{
		order("seal-write-busy", "F_SEAL_WRITE is refused while a shared writable mapping exists", rw, sys.SealWrite,
			"F_ADD_SEALS(F_SEAL_WRITE)", busy, ok),
		order("seal-write-busy-read", "a shared mapping that is only readable does not stand in the way of F_SEAL_WRITE",
			sys.ProtRead, sys.SealWrite, "F_ADD_SEALS(F_SEAL_WRITE)", ok, busy),
		order("seal-future-mapped", "F_SEAL_FUTURE_WRITE is possible while a shared writable mapping exists", rw,
			sys.SealFutureWrite, "F_ADD_SEALS(F_SEAL_FUTURE_WRITE)", ok, busy),
	}
}

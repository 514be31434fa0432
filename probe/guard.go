package probe

import (
	"errors"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

const manGuard = "madvise(2), MADV_GUARD_INSTALL"

// guarded puts a guard region into memory, or stops the probe.
func (t *trial) guarded(b []byte) []byte {
	err := sys.Madvise(b, sys.MadvGuardInstall)
	if errors.Is(err, syscall.EINVAL) {
		t.stop(Missing, "madvise(MADV_GUARD_INSTALL): EINVAL (before Linux 6.13)")
	}
	t.must("madvise(MADV_GUARD_INSTALL)", err)
	return b
}

// apart is filled anonymous memory between inaccessible pages, so that the kernel does not
// merge its mapping with what is beside it.
func (t *trial) apart(pages int) []byte {
	b := t.mapped(pages+2, sys.ProtNone, private, nil)[pageSize : (pages+1)*pageSize]
	t.must("mprotect", sys.Mprotect(b, rw))
	fill(b)
	return b
}

func guardProbes() []Probe {
	type attempt = func(*trial, []byte) Answer
	guard := func(id, claim, try string, confirms, refutes, without Answer, do attempt) Probe {
		return Probe{
			ID: id, Subject: Sealing, Since: "6.13", Source: manGuard, Claim: claim,
			Experiment: try + " on a guard region", Control: "the same on memory without one",
			Oracle: string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
			run: func(t *trial) {
				compare(t, experiment[[]byte]{try: try, do: func(b []byte) Answer { return do(t, b) }, on: "a guard region",
					subject:  t.guarded(t.apart(1)),
					confirms: []Answer{confirms}, refutes: []Answer{refutes},
					controls: []control[[]byte]{{"an anonymous page", t.apart(1), without}}})
			},
		}
	}
	all := []Probe{
		guard("guard-load", "a guard region can't be loaded from", "load", Fault, OK, OK,
			func(_ *trial, b []byte) Answer { return load(b) }),
		guard("guard-store", "a guard region can't be stored to", "store", Fault, OK, OK,
			func(_ *trial, b []byte) Answer { return store(b) }),
		guard("guard-vm-readv", "the kernel can't read a guard region for a process", "process_vm_readv", "EFAULT", TheBytes,
			TheBytes, func(_ *trial, b []byte) Answer {
				got := make([]byte, len(word))
				n, err := sys.ProcessVMRead(os.Getpid(), got, sys.Addr(b))
				return isWord(got, n, err)
			}),
		guard("guard-dontneed", "MADV_DONTNEED does not remove a guard region", "madvise(MADV_DONTNEED), load", Fault, OK,
			OK, func(t *trial, b []byte) Answer {
				t.must("MADV_DONTNEED", sys.Madvise(b, sys.MadvDontneed))
				return load(b)
			}),
		guard("guard-mlock", "memory with a guard region can't be locked", "mlock", "ENOMEM", OK, OK,
			func(_ *trial, b []byte) Answer { return answer(sys.Mlock(b)) }),
		guard("guard-pagemap", "pagemap shows guard regions (bit 58, Linux 6.15)", "pagemap", "guard", "no guard",
			"no guard", func(t *trial, b []byte) Answer { return t.guardBit(b) }),
		{
			ID: "guard-areas", Subject: Sealing, Since: "6.13", Source: manGuard,
			Claim:      "guard regions need no VMAs of their own",
			Experiment: "the number of VMAs after a guard in the middle of three pages",
			Control:    "the same after PROT_NONE there",
			Oracle:     "0 more: confirmed; 2 more: refuted", Requirement: "SV-TOP-02",
			run: func(t *trial) {
				t.guarded(t.anon(1))
				compare(t, experiment[func([]byte) error]{try: "VMAs that come with a guard",
					do: func(guard func([]byte) error) Answer {
						b := t.apart(3)
						before := t.areas(b)
						t.must("a guard", guard(b[pageSize:2*pageSize]))
						return answerf("%d more", t.areas(b)-before)
					},
					on: "MADV_GUARD_INSTALL", subject: func(b []byte) error { return sys.Madvise(b, sys.MadvGuardInstall) },
					confirms: []Answer{"0 more"}, refutes: []Answer{"2 more"},
					controls: []control[func([]byte) error]{{"mprotect(PROT_NONE)",
						func(b []byte) error { return sys.Mprotect(b, sys.ProtNone) }, "2 more"}}})
			},
		},
		guardShown(),
		guardLocked("guard-locked", "no guard region can be put into locked memory", "locked memory", func(t *trial) []byte {
			b := t.anon(1)
			t.must("mlock", sys.Mlock(b))
			return b
		}),
		guardLocked("guard-lock-future", "after mlockall(MCL_FUTURE) no guard region can be put into new memory",
			"memory mapped after mlockall(MCL_FUTURE)", func(t *trial) []byte {
				t.must("mlockall(MCL_FUTURE)", sys.Mlockall(sys.MclFuture))
				return t.untouched(1)
			}),
	}
	for i := range all {
		if all[i].ID == "guard-load" || all[i].ID == "guard-store" || all[i].ID == "guard-vm-readv" {
			all[i].Requirement = "SV-TOP-02"
		}
	}
	return all
}

func guardLocked(id, claim, on string, locked func(*trial) []byte) Probe {
	return Probe{
		ID: id, Row: "GUARD-LOCK", Subject: Sealing, Since: "6.13", Source: manGuard, Claim: claim,
		Experiment: "madvise(MADV_GUARD_INSTALL) of " + on, Control: "the same of memory that is not locked",
		Oracle: "EINVAL: confirmed; ok: refuted",
		run: func(t *trial) {
			t.guarded(t.anon(1))
			free := t.anon(1)
			compare(t, experiment[[]byte]{try: "madvise(MADV_GUARD_INSTALL)",
				do: func(b []byte) Answer { return answer(sys.Madvise(b, sys.MadvGuardInstall)) },
				on: on, subject: locked(t), confirms: []Answer{"EINVAL"}, refutes: []Answer{OK},
				controls: []control[[]byte]{{"an anonymous page", free, OK}}})
		},
	}
}

func (t *trial) guardBit(b []byte) Answer {
	var r vma.Reader
	p := t.own()
	defer p.Close()
	a := Answer("no guard")
	err := r.Pages(p, sys.Addr(b), sys.Addr(b)+uint64(pageSize), func(_ uint64, page vma.Page) error {
		if page.Guard() {
			a = "guard"
		}
		return nil
	})
	t.must("/proc/self/pagemap", err)
	return a
}

// guardShown is about VmFlags, which a kernel may lack: so a control shows that another flag
// is seen.
func guardShown() Probe {
	type flagged struct {
		b    []byte
		code string
	}
	return Probe{
		ID: "guard-smaps", Subject: Sealing, Since: "6.13",
		Source: "Linux tools/testing/selftests/mm/guard-regions.c, smaps; Documentation/filesystems/proc.rst, VmFlags",
		Claim:  "smaps shows that a mapping has guard regions (VmFlags gu)", Requirement: "SV-TOP-02", Severity: "low",
		Experiment: "VmFlags of a page with a guard region", Control: "VmFlags of a page without one, and of a locked one",
		Oracle: "gu: confirmed; no gu: refuted", Remedy: "Ask pagemap (bit 58) or PAGEMAP_SCAN.",
		run: func(t *trial) {
			locked := t.apart(1)
			t.must("mlock", sys.Mlock(locked))
			compare(t, experiment[flagged]{try: "VmFlags", do: func(f flagged) Answer { return t.hasFlag(f.b, f.code) },
				on: "a guard region", subject: flagged{t.guarded(t.apart(1)), "gu"}, confirms: []Answer{"gu"}, refutes: []Answer{"no gu"},
				controls: []control[flagged]{{"an anonymous page", flagged{t.apart(1), "gu"}, "no gu"},
					{"a locked anonymous page, lo", flagged{locked, "lo"}, "lo"}}})
		},
	}
}

package probe

import (
	"errors"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

const manMlock = "mlock(2)"

// lockProbes are about memory that is to stay.
func lockProbes() []Probe {
	type prepare = func(t *trial) []byte
	state := func(id, row, claim, source, try string, do func(*trial, []byte) Answer, on string, subject prepare, confirms,
		refutes Answer, controls ...struct {
		on   string
		make prepare
		want Answer
	}) Probe {
		p := Probe{
			ID: id, Row: row, Subject: Residency, Source: source, Claim: claim,
			Experiment: try + " of " + on, Control: try + " of " + controls[0].on,
			Oracle: string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
		}
		p.run = func(t *trial) {
			var all []control[[]byte]
			for _, c := range controls {
				all = append(all, control[[]byte]{c.on, c.make(t), c.want})
			}
			compare(t, experiment[[]byte]{try: try, do: func(b []byte) Answer { return do(t, b) }, on: on,
				subject:  subject(t),
				confirms: []Answer{confirms}, refutes: []Answer{refutes}, controls: all})
		}
		return p
	}
	type other = struct {
		on   string
		make prepare
		want Answer
	}
	pages := func(t *trial, b []byte) Answer { return t.resident(b) }
	flag := func(code string) func(*trial, []byte) Answer {
		return func(t *trial, b []byte) Answer { return t.hasFlag(b, code) }
	}
	untouched := func(t *trial) []byte { return t.untouched(4) }
	filled := func(t *trial) []byte { return t.anon(4) }
	locked := func(t *trial) []byte {
		b := t.untouched(4)
		t.must("mlock", sys.Mlock(b))
		return b
	}
	onFault := func(t *trial) []byte {
		b := t.untouched(4)
		t.must("mlock2(MLOCK_ONFAULT)", sys.Mlock2(b, sys.MlockOnFault))
		return b
	}
	const all4, none4 = "4 of 4 pages", "0 of 4 pages"
	nothing := other{"memory that nobody touched", untouched, none4}
	touched := other{"memory that was written", filled, all4}
	probes := []Probe{
		state("rs-mlock", "", "mlock makes every page resident", manMlock, "pagemap", pages,
			"memory that was locked untouched", locked, all4, none4, nothing, touched),
		state("rs-mlock-flag", "", "mlock marks memory as locked", manMlock, "VmFlags", flag("lo"), "locked memory", locked,
			"lo", "no lo", other{"memory that is not locked", filled, "no lo"}),
		state("rs-onfault", "", "mlock2(MLOCK_ONFAULT) makes no page resident before it is touched", "mlock2(2)", "pagemap",
			pages, "memory locked with MLOCK_ONFAULT", onFault, none4, all4, touched, nothing),
		state("rs-onfault-flag", "", "mlock2(MLOCK_ONFAULT) marks memory as locked at once", "mlock2(2)", "VmFlags",
			flag("lo"), "memory locked with MLOCK_ONFAULT", onFault, "lo", "no lo", other{"memory that is not locked",
				filled, "no lo"}),
		state("rs-populate", "", "MAP_POPULATE makes every page of anonymous memory resident", "mmap(2)", "pagemap", pages,
			"memory mapped with MAP_POPULATE",
			func(t *trial) []byte { return t.mapped(4, rw, private|sys.MapPopulate, nil) }, all4, none4, nothing, touched),
		state("rs-populate-none", "",
			"MAP_POPULATE of memory that can't be accessed makes no page resident, and does not say so", "mmap(2)", "pagemap", pages, "memory mapped with PROT_NONE and MAP_POPULATE",
			func(t *trial) []byte {
				return t.mapped(4, sys.ProtNone, private|sys.MapPopulate,
					nil)
			}, none4, all4, touched, nothing),
		state("rs-populate-write", "", "madvise(MADV_POPULATE_WRITE) makes every page resident", "madvise(2)", "pagemap",
			pages, "memory with MADV_POPULATE_WRITE",
			func(t *trial) []byte {
				b := t.untouched(4)
				t.must("MADV_POPULATE_WRITE", sys.Madvise(b, sys.MadvPopulateWrite))
				return b
			}, all4, none4, nothing, touched),
		state("rs-munlock", "", "munlock ends the lock", "munlock(2)", "VmFlags", flag("lo"),
			"memory that was locked and unlocked", func(t *trial) []byte {
				b := locked(t)
				t.must("munlock", sys.Munlock(b))
				return b
			}, "no lo", "lo", other{"locked memory", locked, "lo"}),
		state("rs-fail-flag", "LOCK-FAIL", "an mlock that fails changes no locks",
			manMlock+": \"no changes are made to any locks\"", "VmFlags", flag("lo"),
			"the first page of a range that mlock failed for (ENOMEM)",
			func(t *trial) []byte { return t.failedLock() }, "no lo", "lo", other{"locked memory", locked,
				"lo"}, other{"memory that is not locked", filled, "no lo"}),
		state("rs-fail-tail", "LOCK-FAIL", "memory that is marked as locked (VmFlags lo) is resident", manMlock, "pagemap",
			pages, "the rest of a range that mlock failed for, marked as locked",
			func(t *trial) []byte {
				b := t.failedLock()[2*pageSize:]
				if t.hasFlag(b, "lo") != "lo" {
					t.stop(Missing, "the rest of the range is not marked as locked")
				}
				return b
			}, all4, none4, nothing, touched),
		state("rs-droppable", "DROP-LOCK", "memory for which mlock returned 0 is locked", manMlock, "mlock, VmFlags",
			func(t *trial, b []byte) Answer {
				if err := sys.Mlock(b); err != nil {
					return answer(err)
				}
				return t.hasFlag(b, "lo")
			}, "MAP_DROPPABLE memory", (*trial).droppable, "lo", "no lo", other{"anonymous memory", filled, "lo"}),
		state("rs-dontneed-locked", "", "the pages of locked memory can't be thrown away by MADV_DONTNEED", "madvise(2)",
			"madvise(MADV_DONTNEED)", func(_ *trial, b []byte) Answer { return answer(sys.Madvise(b, sys.MadvDontneed)) },
			"locked memory", locked, "EINVAL", OK, other{"memory that is not locked", filled, OK}),
		state("rs-usage-map", "ALLOC-USAGE", "allocation on usage: all memory is allocated in advance, when it is mapped",
			"safety working group, assumptions of use: \"allocate everything in advance\"", "pagemap", pages,
			"memory that was mapped, and not touched", untouched, all4, none4, touched, nothing),
		state("rs-usage-touch", "ALLOC-USAGE", "allocation on usage: memory is allocated when it is first touched",
			"the same group's overcommit demo", "pagemap after a store to the first page", func(t *trial, b []byte) Answer {
				store(b)
				return t.resident(b)
			}, "memory that was mapped, and not touched", func(t *trial) []byte {
				b := t.untouched(4)
				t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
				return b
			}, "1 of 4 pages", all4, touched),
	}
	for i := range probes {
		switch probes[i].ID {
		case "rs-mlock", "rs-populate", "rs-populate-write", "rs-fail-tail", "rs-usage-map":
			probes[i].Requirement = "SV-RES-01"
		case "rs-mlock-flag", "rs-droppable", "rs-dontneed-locked":
			probes[i].Requirement = "SV-RES-02"
		}
	}
	return append(probes, lockFork(), lockFuture(), droppableFuture(), lockLimit(), wipeOnFork())
}

// droppable is memory that the kernel may drop.
func (t *trial) droppable() []byte {
	b, err := sys.Mmap(4*pageSize, rw, sys.MapDroppable|sys.MapAnonymous, -1, 0)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		t.stop(Missing, "mmap(MAP_DROPPABLE): %s (before Linux 6.11)", answer(err))
	}
	t.must("mmap(MAP_DROPPABLE)", err)
	return b
}

// failedLock is a range of six pages that mlock fails for, since nothing can be put into its
// second one. Nobody has touched the pages behind.
func (t *trial) failedLock() []byte {
	b := t.untouched(6)
	fill(b[:pageSize])
	t.must("mprotect", sys.Mprotect(b[pageSize:2*pageSize], sys.ProtNone))
	if err := sys.Mlock(b); !errors.Is(err, syscall.ENOMEM) {
		t.stop(Failed, "mlock over an inaccessible page: %s, want ENOMEM", answer(err))
	}
	return b
}

// flagOf is [trial.hasFlag] in another process with the same addresses.
func (t *trial) flagOf(pid int, b []byte, code string) Answer {
	p, err := process.Default().Open(pid)
	t.must("a process", err)
	defer p.Close()
	a := Answer("no mapping")
	var r vma.Reader
	err = r.Smaps(p, func(v *vma.VMA) error {
		if at := sys.Addr(b); v.Start <= at && at < v.End {
			a = Answer("no " + code)
			for _, c := range v.Flags.Codes() {
				if c == code {
					a = Answer(code)
				}
			}
		}
		return nil
	})
	t.must("smaps", err)
	return a
}

// forkedIdle is a copy of this process that does nothing; it dies with this one.
func (t *trial) forkedIdle() int {
	hold, hangup := t.pipe()
	t.kept = append(t.kept, hold, hangup)
	pid, err := sys.ForkIdle(int(hold.Fd()))
	t.must("fork", err)
	return pid
}

// forkedFor is [trial.forkedIdle] until end is called.
func (t *trial) forkedFor() (pid int, end func()) {
	hold, hangup := t.pipe()
	pid, err := sys.ForkIdle(int(hold.Fd()))
	t.must("fork", err)
	return pid, func() {
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
		hold.Close()
		hangup.Close()
	}
}

func lockFork() Probe {
	return Probe{
		ID: "rs-fork", Subject: Residency, Source: "mlock(2): locks are not inherited by a child", Requirement: "SV-RES-02",
		Good: Refuted, Severity: "low",
		Claim:      "a forked child does not inherit locks",
		Experiment: "VmFlags of locked memory in a forked child", Control: "VmFlags in the parent",
		Oracle: "no lo: confirmed; lo: refuted", Remedy: "Lock in the child anew, or set MADV_DONTFORK or MADV_WIPEONFORK.",
		run: func(t *trial) {
			b := t.anon(1)
			t.must("mlock", sys.Mlock(b))
			compare(t, experiment[int]{try: "VmFlags", do: func(pid int) Answer { return t.flagOf(pid, b, "lo") },
				on: "a forked child", subject: t.forkedIdle(),
				confirms: []Answer{"no lo"}, refutes: []Answer{"lo"},
				controls: []control[int]{{"the parent", os.Getpid(), "lo"}}})
		},
	}
}

func lockFuture() Probe {
	return Probe{
		ID: "rs-future", Subject: Residency, Source: "mlockall(2)", Requirement: "SV-RES-02",
		Claim:      "mlockall(MCL_FUTURE) locks what is mapped later, and nothing else",
		Experiment: "VmFlags of memory mapped after mlockall(MCL_FUTURE)", Control: "VmFlags of memory mapped before",
		Oracle: "lo: confirmed; no lo: refuted",
		run: func(t *trial) {
			before := t.anon(1)
			t.must("mlockall(MCL_FUTURE)", sys.Mlockall(sys.MclFuture))
			compare(t, experiment[[]byte]{try: "VmFlags", do: func(b []byte) Answer { return t.hasFlag(b, "lo") },
				on: "memory mapped after it", subject: t.untouched(1),
				confirms: []Answer{"lo"}, refutes: []Answer{"no lo"},
				controls: []control[[]byte]{{"memory mapped before it", before, "no lo"}}})
		},
	}
}

func droppableFuture() Probe {
	return Probe{
		ID: "rs-droppable-future", Row: "DROP-LOCK", Subject: Residency, Since: "6.11",
		Source:     "Linux tools/testing/selftests/mm/mlock2-tests.c, test_mlockall_future_droppable",
		Claim:      "mlockall(MCL_FUTURE) does not lock memory with MAP_DROPPABLE",
		Experiment: "VmFlags of MAP_DROPPABLE memory mapped after mlockall(MCL_FUTURE)",
		Control:    "VmFlags of anonymous memory mapped after it, and before", Oracle: "no lo: confirmed; lo: refuted",
		run: func(t *trial) {
			before := t.anon(1)
			t.must("mlockall(MCL_FUTURE)", sys.Mlockall(sys.MclFuture))
			compare(t, experiment[[]byte]{try: "VmFlags", do: func(b []byte) Answer { return t.hasFlag(b, "lo") },
				on: "MAP_DROPPABLE memory", subject: t.droppable(), confirms: []Answer{"no lo"}, refutes: []Answer{"lo"},
				controls: []control[[]byte]{{"anonymous memory", t.untouched(1), "lo"},
					{"memory mapped before it", before, "no lo"}}})
		},
	}
}

func lockLimit() Probe {
	return Probe{
		ID: "rs-limit", Subject: Residency, Source: manMlock, Needs: Needs{Privilege: "none: it gives CAP_IPC_LOCK up"},
		Claim:      "RLIMIT_MEMLOCK limits what a process without CAP_IPC_LOCK can lock",
		Experiment: "mlock of 17 pages with a limit of 16", Control: "mlock of 16 pages",
		Oracle: "ENOMEM: confirmed; ok: refuted",
		run: func(t *trial) {
			b := t.untouched(17)
			t.must("RLIMIT_MEMLOCK", sys.SetLimit(sys.LimitMemlock, uint64(16*pageSize)))
			t.must("giving up capabilities", sys.DropCapabilities())
			compare(t, experiment[int]{try: "mlock", do: func(pages int) Answer {
				defer sys.Munlock(b)
				return answer(sys.Mlock(b[:pages*pageSize]))
			}, on: "17 pages, with a limit of 16", subject: 17, confirms: []Answer{"ENOMEM"}, refutes: []Answer{OK}, controls: []control[int]{{"16 pages",
				16, OK}}})
		},
	}
}

func wipeOnFork() Probe {
	return Probe{
		ID: "rs-wipeonfork", Subject: Residency, Since: "4.14", Source: "madvise(2), MADV_WIPEONFORK",
		Requirement: "SV-XDM-02",
		Claim:       "a forked child finds zeroes in memory with MADV_WIPEONFORK",
		Experiment:  "a load in a forked child", Control: "a load of memory without the advice, and with MADV_DONTFORK",
		Oracle: "zeroes: confirmed; the bytes: refuted",
		run: func(t *trial) {
			b := t.anon(1)
			t.must("MADV_WIPEONFORK", sys.Madvise(b, sys.MadvWipeonfork))
			t.forked("an anonymous page with MADV_WIPEONFORK", b, []Answer{"zeroes"}, []Answer{TheBytes})
		},
	}
}

package probe

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/host"
)

const docCommit = "Documentation/mm/overcommit-accounting.rst"

func residencyProbes() []Probe {
	return slices.Concat(lockProbes(), commitProbes(), limitProbes(), latencyProbes(), cgroupProbes(), psiProbes())
}

// commitSize is how much memory is asked for where Committed_AS is watched: little enough to
// starve nobody, and not what others ask for at the same moment. Go programs ask for 4 MiB.
const commitSize = 3<<20 + 5<<16

// commitError is by how much what is seen may differ, since others ask for memory, too.
const commitError = 96 << 10

// commitProbes are about what the kernel promises.
func commitProbes() []Probe {
	counted := func(id, claim, on string, confirms, refutes Answer, do func(*trial) asking) Probe {
		return Probe{
			ID: id, Row: "COMMIT", Subject: Residency, Source: "proc_meminfo(5), Committed_AS; " + docCommit, Claim: claim,
			Requirement: "SV-CMT-01",
			Needs:       Needs{Alone: true, SecretPages: 1},
			Experiment:  "Committed_AS before and after " + on + ", about 3 MiB",
			Control:     "the same for writable anonymous memory, and for inaccessible memory",
			Oracle:      string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
			Remedy:      "Touch and lock what must be there, before the hand-over.",
			run: func(t *trial) {
				compare(t, experiment[asking]{try: "Committed_AS", do: t.counted, on: on, subject: do(t),
					confirms: []Answer{confirms}, refutes: []Answer{refutes},
					controls: []control[asking]{
						{"writable anonymous memory", t.asks(rw, private), "counted"},
						{"inaccessible anonymous memory", t.asks(sys.ProtNone, private), "not counted"}}})
			},
		}
	}
	return []Probe{
		counted("cm-secret", "Committed_AS counts secret memory", "mapping secret memory", "counted", "not counted",
			func(t *trial) asking {
				return func() func() {
					f := t.secretFile(commitSize / pageSize)
					b := t.mapped(commitSize/pageSize, rw, shared, f)
					return func() { sys.Munmap(b); f.Close() }
				}
			}),
		counted("cm-memfd", "Committed_AS counts a memfd when it is mapped", "mapping an empty memfd", "counted",
			"not counted", func(t *trial) asking {
				return func() func() {
					f := t.memfd(t.exec(), 0)
					t.must("ftruncate", f.Truncate(commitSize))
					b := t.mapped(commitSize/pageSize, rw, shared, f)
					return func() { sys.Munmap(b); f.Close() }
				}
			}),
		counted("cm-memfd-allocated", "Committed_AS counts a memfd once it is allocated (fallocate)", "fallocate of a memfd",
			"counted", "not counted", func(t *trial) asking {
				return func() func() {
					f := t.memfd(t.exec(), 0)
					t.must("fallocate", sys.Fallocate(f, 0, commitSize))
					return func() { f.Close() }
				}
			}),
		counted("cm-noreserve",
			"in overcommit mode 2 MAP_NORESERVE has no effect, in others it keeps memory out of Committed_AS", "mapping with MAP_NORESERVE", overcommitted(), notOvercommitted(), func(t *trial) asking {
				return t.asks(rw, private|sys.MapNoreserve)
			}),
		counted("cm-shared-anon", "Committed_AS counts shared anonymous memory when it is mapped",
			"mapping shared anonymous memory", "counted", "not counted", func(t *trial) asking { return t.asks(rw, shared) }),
		forkCounted(),
		tooMuch(), aboveLimit(),
	}
}

// forkCounted is about the promise that a fork doubles.
func forkCounted() Probe {
	return Probe{
		ID: "cm-fork", Row: "COMMIT", Subject: Residency, Source: docCommit + ": private writable mappings count per instance",
		Requirement: "SV-CMT-01",
		Needs:       Needs{Alone: true, Limit: time.Minute},
		Claim:       "Committed_AS counts private writable memory once more for each fork, though nothing is copied yet",
		Experiment:  "by how much more Committed_AS grows with a fork where about 3 MiB of private memory were mapped before it",
		Control:     "the same with shared memory, and with private memory that has MADV_DONTFORK; the mapping without a fork",
		Oracle:      "counted: confirmed; not counted: refuted",
		run: func(t *trial) {
			// A fork counts all that the process has: without the memory, and with it.
			grown := func() int64 {
				before := t.meminfo("Committed_AS")
				_, end := t.forkedFor()
				defer end()
				return t.meminfo("Committed_AS") - before
			}
			type memory struct {
				flags          int
				dontfork, fork bool
			}
			compare(t, experiment[memory]{try: "Committed_AS over a fork", do: func(m memory) Answer {
				return countedTwice(commitSize, commitError, func() int64 {
					if !m.fork {
						before := t.meminfo("Committed_AS")
						defer sys.Munmap(t.mapped(commitSize/pageSize, rw, m.flags, nil))
						return t.meminfo("Committed_AS") - before
					}
					without := grown()
					b := t.mapped(commitSize/pageSize, rw, m.flags, nil)
					defer sys.Munmap(b)
					if m.dontfork {
						t.must("MADV_DONTFORK", sys.Madvise(b, sys.MadvDontfork))
					}
					return grown() - without
				})
			},
				on: "private memory", subject: memory{private, false, true}, confirms: []Answer{"counted"}, refutes: []Answer{"not counted"},
				controls: []control[memory]{{"shared memory", memory{shared, false, true}, "not counted"},
					{"private memory with MADV_DONTFORK", memory{private, true, true}, "not counted"},
					{"private memory that is mapped, and no fork", memory{private, false, false}, "counted"}}})
		},
	}
}

// strict tells whether the mode of this host is 2.
func strict() bool {
	text, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	return err == nil && len(text) > 0 && text[0] == '2'
}

// overcommitted is what is to be seen of MAP_NORESERVE in the mode of this host.
func overcommitted() Answer {
	if strict() {
		return "counted"
	}
	return "not counted"
}

func notOvercommitted() Answer {
	if overcommitted() == "counted" {
		return "not counted"
	}
	return "counted"
}

// asking asks the kernel for commitSize, and returns what gives it back.
type asking func() (giveBack func())

// asks maps anonymous memory.
func (t *trial) asks(prot, flags int) asking {
	return func() func() {
		b := t.mapped(commitSize/pageSize, prot, flags, nil)
		return func() { sys.Munmap(b) }
	}
}

// counted asks, says whether Committed_AS has gone up by commitSize meanwhile, and gives back.
func (t *trial) counted(ask asking) Answer {
	return countedTwice(commitSize, commitError, func() int64 {
		before := t.meminfo("Committed_AS")
		giveBack := ask()
		defer giveBack()
		return t.meminfo("Committed_AS") - before
	})
}

// countedTwice says whether bytes have grown by size, or have not, with a margin. Others change
// them, too: it looks until it has seen the one or the other twice in a row.
func countedTwice(size, margin int64, grown func() int64) Answer {
	last := Answer("")
	for range 100 {
		now := Answer("")
		switch n := grown(); {
		case n >= size-margin && n <= size+margin:
			now = "counted"
		case n >= -margin && n <= margin:
			now = "not counted"
		}
		if now == last && now != "" {
			return now
		}
		last = now
		time.Sleep(20 * time.Millisecond)
	}
	return "others change it all the while"
}

func (t *trial) meminfo(name string) int64 {
	table, err := host.ReadMeminfo("/proc").Get()
	t.must("/proc/meminfo", err)
	n, err := table.Get(name)
	t.must("/proc/meminfo", err)
	return int64(n)
}

// tooMuch is about what is refused in mode 0, too.
func tooMuch() Probe {
	p := refused("more writable memory than CommitLimit, RAM and swap together", func(t *trial) int64 {
		return t.meminfo("CommitLimit") + t.meminfo("MemTotal") + t.meminfo("SwapTotal") + 1<<30
	})
	p.ID, p.Source = "cm-too-much", docCommit+": obvious overcommits are refused"
	p.Claim = "a mapping of more memory than the machine has is refused"
	p.Oracle = "ENOMEM: confirmed; ok: refuted (overcommit mode 1)"
	p.Remedy = "Set vm.overcommit_memory=2."
	return p
}

// aboveLimit is about the limit itself, which is one in mode 2 alone.
func aboveLimit() Probe {
	p := refused("more writable memory than CommitLimit", func(t *trial) int64 {
		// The kernel compares a sum that it keeps in parts, and may be off by 1/256 of RAM
		// (mm/util.c, vm_committed_as_batch).
		size := t.meminfo("CommitLimit") + t.meminfo("MemTotal")/128
		if !strict() && size >= t.meminfo("MemTotal")+t.meminfo("SwapTotal") {
			t.stop(Missing, "CommitLimit is as much as RAM and swap together: what is more is refused in mode 0, too")
		}
		return size
	})
	p.ID, p.Requirement = "cm-limit", "SV-CMT-02"
	p.Source = "proc_meminfo(5), CommitLimit: \"the total amount of memory currently available to be allocated\" (\"adhered to only if strict overcommit accounting is enabled\")"
	p.Claim = "the kernel promises no more memory than CommitLimit: a larger mapping is refused"
	p.Oracle = "ENOMEM: confirmed (overcommit mode 2); ok: refuted (0 or 1)"
	p.Remedy = "Set vm.overcommit_memory=2: else CommitLimit limits nothing."
	return p
}

// refused maps memory of a size that no host should promise.
func refused(what string, size func(*trial) int64) Probe {
	return Probe{
		Subject:    Residency,
		Experiment: "mmap of " + what + ", which is never touched",
		Control:    "the same amount, inaccessible; and inaccessible memory for which there are no addresses",
		run: func(t *trial) {
			type request struct {
				size int64
				prot int
			}
			size := size(t)
			t.note("asked for", "%d MiB", size>>20)
			// That refuses writable memory, too, and inaccessible memory not (mm/mmap.c, may_expand_vm).
			var data syscall.Rlimit
			t.must("getrlimit", syscall.Getrlimit(sys.LimitData, &data))
			if data.Cur < uint64(size) {
				t.stop(Privilege, "RLIMIT_DATA of this process is %d bytes", data.Cur)
			}
			compare(t, experiment[request]{try: "mmap", do: func(r request) Answer {
				b, err := sys.Mmap(int(r.size), r.prot, private|sys.MapAnonymous, -1, 0)
				if err == nil {
					sys.Munmap(b)
				}
				return answer(err)
			},
				on: "writable memory", subject: request{size, rw}, confirms: []Answer{"ENOMEM"}, refutes: []Answer{OK},
				controls: []control[request]{{"inaccessible memory", request{size, sys.ProtNone}, OK},
					{"inaccessible memory, more than there are addresses", request{1 << 60, sys.ProtNone}, "ENOMEM"}}})
		},
	}
}

// latencyProbes count faults, which decide, and note times, which do not.
func latencyProbes() []Probe {
	const pages = 256
	faults := func(id, claim, requirement, on string, confirms, refutes Answer, prepare func(t *trial) []byte) Probe {
		return Probe{
			ID: id, Subject: Residency, Source: "getrusage(2), ru_minflt", Claim: claim, Requirement: requirement,
			Needs: Needs{Alone: true},
			Experiment: fmt.Sprintf("faults of a store to each of %d pages of %s", pages,
				on), Control: "the same on memory that nobody touched, and on memory that was written",
			Oracle: string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
			run: func(t *trial) {
				fresh := func() []byte {
					b := t.untouched(pages)
					t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
					return b
				}
				subject := prepare(t)
				used := fresh() // after a fork of that
				fill(used)
				compare(t, experiment[[]byte]{try: "faults of stores", do: func(b []byte) Answer { return t.faults(on, b) },
					on: on, subject: subject, confirms: []Answer{confirms}, refutes: []Answer{refutes},
					controls: []control[[]byte]{{"memory that nobody touched", fresh(), "one a page"},
						{"memory that was written", used, "none"}}})
			},
		}
	}
	return []Probe{
		faults("lt-touch", "the first store to each page of anonymous memory costs a fault", "SV-RES-01",
			"memory that was mapped", "one a page", "none", func(t *trial) []byte {
				b := t.untouched(pages)
				t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
				return b
			}),
		faults("lt-locked", "stores to memory that was locked cost no faults", "SV-RES-01", "locked memory", "none",
			"one a page", func(t *trial) []byte {
				b := t.untouched(pages)
				t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
				t.must("mlock", sys.Mlock(b))
				return b
			}),
		faults("lt-cow", "after a fork the first store to each page costs a fault (copy on write), also in locked memory",
			"", "locked memory, after a fork", "one a page", "none", func(t *trial) []byte {
				b := t.untouched(pages)
				t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
				fill(b)
				t.must("mlock", sys.Mlock(b))
				t.forkedIdle()
				return b
			}),
		faults("lt-dontfork", "stores to memory with MADV_DONTFORK cost no faults after a fork", "",
			"memory with MADV_DONTFORK, after a fork", "none", "one a page", func(t *trial) []byte {
				b := t.untouched(pages)
				t.must("MADV_NOHUGEPAGE", sys.Madvise(b, sys.MadvNohugepage))
				fill(b)
				t.must("MADV_DONTFORK", sys.Madvise(b, sys.MadvDontfork))
				t.forkedIdle()
				return b
			}),
	}
}

// faults stores to each page of b, counts the faults and notes how long a store took.
func (t *trial) faults(on string, b []byte) Answer {
	pages := len(b) / pageSize
	times := make([]time.Duration, pages)
	before, err := sys.MinorFaults()
	t.must("getrusage", err)
	for i := range pages {
		start := time.Now()
		b[i*pageSize] = 1
		times[i] = time.Since(start)
	}
	after, err := sys.MinorFaults()
	t.must("getrusage", err)
	slices.Sort(times)
	t.note("store to "+on+" or a control", "median %v, most %v, %d faults on %d pages", times[pages/2], times[pages-1],
		after-before, pages)
	// The Go runtime may have a few of its own.
	switch n := int(after - before); {
	case n >= pages && n < pages+pages/8:
		return "one a page"
	case n < pages/8:
		return "none"
	default:
		return answerf("%d on %d pages", n, pages)
	}
}

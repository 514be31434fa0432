package probe

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

func concurrencyProbes() []Probe {
	return slices.Concat([]Probe{
		tortureProbe("cc-foreign",
			"no reader sees another region's content, whatever is mapped, unmapped, moved and forked meanwhile", "foreign tags", swaps, func(c *counts) int64 { return c.foreign.Load() }),
		tortureProbe("cc-stale", "no reader sees what was mapped before, once a change is done", "stale tags", delays,
			func(c *counts) int64 { return c.stale.Load() }),
		tortureProbe("cc-lost", "memory that nobody is changing can be read, whatever is changed beside it", "lost tags",
			forgets, func(c *counts) int64 { return c.lost.Load() }),
	}, cowProbes())
}

// cowProbes are about copies on write, raced on own files alone.
func cowProbes() []Probe {
	race := func(id, claim, source, on string, since string, subject func(t *trial) raced) Probe {
		return Probe{
			ID: id, Subject: Concurrency, Since: since, Source: source, Claim: claim, Requirement: "SV-CON-02",
			Needs:      Needs{Folder: true, Alone: true},
			Experiment: "writes by /proc/self/mem to " + on + ", raced with MADV_DONTNEED, for a second",
			Control:    "the same to a shared writable mapping",
			Oracle:     "the file as before: confirmed; another content: refuted", Remedy: "Update the kernel.",
			run: func(t *trial) {
				if a := t.writeMem(t.protected(1, sys.ProtRead)); a == "EIO" {
					t.stop(Missing, "a write to read-only memory by /proc/self/mem: EIO (proc_mem.force_override)")
				}
				plain := t.file("writable", 1)
				compare(t, experiment[raced]{try: "racing writes and MADV_DONTNEED", do: t.race, on: on, subject: subject(t),
					confirms: []Answer{TheBytes}, refutes: []Answer{"other bytes"},
					controls: []control[raced]{{"a shared writable mapping", raced{plain, t.mapped(1, rw, shared, plain)},
						"other bytes"}}})
			},
		}
	}
	return []Probe{
		race("cc-cow-file", "a private mapping of a file that is open for reading never lets a write through to the file (the mechanism of Dirty COW)",
			"mmap(2), MAP_PRIVATE; CVE-2016-5195", "a private read-only mapping of a file", "",
			func(t *trial) raced {
				t.file("read-only", 1).Close()
				f, err := os.Open(filepath.Join(t.dir, "read-only"))
				t.must("a file", err)
				return raced{f, t.mapped(1, sys.ProtRead, private, f)}
			}),
		race("cc-cow-memfd", "a private mapping of a write-sealed memfd never lets a write through to it",
			"F_SEAL_WRITE; CVE-2022-2590", "a private read-only mapping of a write-sealed memfd", "3.17",
			func(t *trial) raced {
				f := t.sealed(1, sys.SealWrite|sys.SealSeal)
				return raced{f, t.mapped(1, sys.ProtRead, private, f)}
			}),
		cowSpliced(),
		cowFork(),
	}
}

type raced struct {
	file *os.File
	b    []byte
}

// race writes to a mapping by /proc/self/mem, while another thread throws the copies away,
// and says what the file holds at the end.
func (t *trial) race(r raced) Answer {
	mem := t.memFile()
	defer mem.Close()
	var stop atomic.Bool
	dropped := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			sys.Madvise(r.b, sys.MadvDontneed)
		}
		dropped <- n
	}()
	writes, accepted := 0, 0
	for end := time.Now().Add(t.span(time.Second)); time.Now().Before(end); writes++ {
		if _, err := sys.Pwrite(mem, []byte("Dirty!!!"), int64(sys.Addr(r.b))); err == nil {
			accepted++
		}
	}
	stop.Store(true)
	t.note("race", "%d writes, %d accepted, %d times MADV_DONTNEED", writes, accepted, <-dropped)
	if accepted == 0 {
		return "no write was accepted"
	}
	got := make([]byte, len(word))
	n, err := sys.Pread(r.file, got, 0)
	return isWord(got, n, err)
}

// cowSpliced has a child keep a page in a pipe that its parent writes to afterwards.
func cowSpliced() Probe {
	return Probe{
		ID: "cc-cow-vmsplice", Subject: Concurrency, Source: "fork(2); CVE-2020-29374", Requirement: "SV-CON-02",
		Remedy:     "Update the kernel.",
		Claim:      "a child that keeps a page of its parent by vmsplice never sees what the parent writes to it later",
		Experiment: "vmsplice of a private page in a forked child, which then unmaps it; a store by the parent; a read of the pipe",
		Control:    "the same with a shared page",
		Oracle:     "the old content: confirmed; the new one: refuted",
		run: func(t *trial) {
			compare(t, experiment[int]{try: "vmsplice by a child, store by the parent, read", do: func(flags int) Answer {
				b := t.mapped(1, rw, flags, nil)
				fill(b)
				r, w := t.pipe()
				defer r.Close()
				defer w.Close()
				// The vector must be where the child finds it.
				vector := t.anon(1)
				sys.StoreWord(vector, sys.Addr(b))
				sys.StoreWord(vector[8:], uint64(len(word)))
				status, err := sys.ForkCalls([]sys.RawCall{
					{Number: sys.CallVmsplice, Args: [6]uintptr{w.Fd(), uintptr(sys.Addr(vector)), 1, 0}},
					{Number: sys.CallMunmap, Args: [6]uintptr{uintptr(sys.Addr(b)), uintptr(pageSize)}},
				})
				t.must("fork", err)
				if status != 0 {
					return answerf("the child: %v", status)
				}
				copy(b, "SECRET!!")
				got := make([]byte, len(word))
				n, err := sys.Read(r, got)
				if a := isWord(got, n, err); a != "other bytes" {
					return a
				}
				return "the new content"
			},
				on: "a private page", subject: private, confirms: []Answer{TheBytes}, refutes: []Answer{"the new content"},
				controls: []control[int]{{"a shared page", shared, "the new content"}}})
		},
	}
}

// cowFork is copy on write itself.
func cowFork() Probe {
	return Probe{
		ID: "cc-cow-fork", Subject: Concurrency, Source: "fork(2)", Requirement: "SV-CON-02",
		Claim:      "what a child stores to private memory its parent does not see",
		Experiment: "a store in a forked child, then a load by the parent", Control: "the same with shared memory",
		Oracle: "the old content: confirmed; another one: refuted",
		run: func(t *trial) {
			compare(t, experiment[int]{try: "store by a child, load by the parent", do: func(flags int) Answer {
				b := t.mapped(1, rw, flags, nil)
				fill(b)
				if a := t.childCalls(sys.RawCall{Number: sys.CallStore,
					Args: [6]uintptr{uintptr(sys.Addr(b)), 'X'}}); a != OK {
					return a
				}
				return hasWord(b)
			},
				on: "a private page", subject: private, confirms: []Answer{TheBytes}, refutes: []Answer{"other bytes"},
				controls: []control[int]{{"a shared page", shared, "other bytes"}}})
		},
	}
}

package probe

import (
	"bufio"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

const (
	manMmapSync  = "mmap(2), MAP_SYNC"
	unknownFlag  = 1 << 24
	manValidated = "mmap(2), MAP_SHARED_VALIDATE"
)

func persistentProbes() []Probe {
	return slices.Concat(mapSyncProbes(), flushProbes(), orderProbes())
}

type mapping struct {
	f     *os.File
	flags int
}

func tryMap(m mapping) Answer {
	b, err := sys.Mmap(pageSize, rw, m.flags, int(m.f.Fd()), 0)
	if err != nil {
		return answer(err)
	}
	return answer(sys.Munmap(b))
}

// mapSyncProbes are about being told the truth of a file's memory.
func mapSyncProbes() []Probe {
	validate := func(id, claim, on string, source string, flags int, plain int, needs Needs,
		file func(*trial) *os.File) Probe {
		return Probe{
			ID: id, Subject: Persistent, Since: "4.15", Source: source, Claim: claim, Requirement: "SV-PER-05", Needs: needs,
			Experiment: "mmap of " + on, Control: "the same without the flag",
			Oracle: "EOPNOTSUPP (ENOTSUP): confirmed; ok: refuted",
			run: func(t *trial) {
				f := file(t)
				compare(t, experiment[mapping]{try: "mmap", do: tryMap, on: on, subject: mapping{f, flags},
					confirms: []Answer{"ENOTSUP"}, refutes: []Answer{OK},
					controls: []control[mapping]{{"the same file without the flag", mapping{f, plain}, OK}}})
			},
		}
	}
	memfd := func(t *trial) *os.File { return t.memfd(t.exec(), 1) }
	return []Probe{
		validate("pm-sync-memfd", "MAP_SYNC is refused for memory that is not persistent",
			"a memfd with MAP_SHARED_VALIDATE|MAP_SYNC", manMmapSync, sys.MapSharedValidate|sys.MapSync, sys.MapSharedValidate, Needs{}, memfd),
		validate("pm-sync-file", "MAP_SYNC is refused on a file system without DAX",
			"a temporary file with MAP_SHARED_VALIDATE|MAP_SYNC", manMmapSync, sys.MapSharedValidate|sys.MapSync, sys.MapSharedValidate, Needs{Folder: true},
			func(t *trial) *os.File {
				f := t.file("file", 1)
				dax, _, err := sys.DAX(f)
				t.must("statx", err)
				if dax {
					t.stop(Missing, "files of %s have DAX", t.dir)
				}
				return f
			}),
		validate("pm-validate", "MAP_SHARED_VALIDATE refuses flags that the kernel does not know",
			"a memfd with MAP_SHARED_VALIDATE and a flag that there is not", manValidated, sys.MapSharedValidate|unknownFlag, sys.MapSharedValidate, Needs{}, memfd),
		{
			ID: "pm-shared-ignores", Subject: Persistent, Since: "4.15",
			Source: manValidated + ": MAP_SHARED ignores unknown flags", Requirement: "SV-PER-05", Good: Refuted,
			Claim:      "MAP_SHARED|MAP_SYNC on memory that is not persistent succeeds, and gives nothing",
			Experiment: "mmap(MAP_SHARED|MAP_SYNC) of a memfd", Control: "the same with MAP_SHARED_VALIDATE",
			Oracle: "ok: confirmed; EOPNOTSUPP: refuted", Remedy: "Ask for MAP_SYNC with MAP_SHARED_VALIDATE alone.",
			run: func(t *trial) {
				f := memfd(t)
				compare(t, experiment[mapping]{try: "mmap", do: tryMap, on: "a memfd with MAP_SHARED|MAP_SYNC",
					subject: mapping{f, sys.MapShared | sys.MapSync}, confirms: []Answer{OK}, refutes: []Answer{"ENOTSUP"},
					controls: []control[mapping]{{"a memfd with MAP_SHARED_VALIDATE|MAP_SYNC",
						mapping{f, sys.MapSharedValidate | sys.MapSync}, "ENOTSUP"}}})
			},
		},
		{
			ID: "pm-sync-dax", Subject: Persistent, Since: "4.15", Source: manMmapSync, Requirement: "SV-PER-05",
			Claim:      "MAP_SYNC is accepted on a file system with DAX",
			Experiment: "mmap(MAP_SHARED_VALIDATE|MAP_SYNC) of an unnamed file on a mounted file system with DAX",
			Control:    "the same of a memfd",
			Oracle:     "ok: confirmed; EOPNOTSUPP: refuted", Cleanup: "the file has no name",
			Needs: Needs{Privilege: "the right to write on such a file system"},
			run: func(t *trial) {
				mount, ok := daxMount()
				if !ok {
					t.stop(Missing, "no file system with DAX is mounted")
				}
				f, err := sys.TempFile(mount)
				t.must("O_TMPFILE on "+mount, err)
				t.must("ftruncate", f.Truncate(int64(pageSize)))
				compare(t, experiment[*os.File]{try: "mmap(MAP_SHARED_VALIDATE|MAP_SYNC)",
					do: func(f *os.File) Answer { return tryMap(mapping{f, sys.MapSharedValidate | sys.MapSync}) },
					on: "a file with DAX", subject: f, confirms: []Answer{OK}, refutes: []Answer{"ENOTSUP"},
					controls: []control[*os.File]{{"a memfd", memfd(t), "ENOTSUP"}}})
			},
		},
	}
}

// daxMount returns where a file system with DAX is mounted.
func daxMount() (string, bool) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", false
	}
	defer f.Close()
	best, found := "", false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 5 || len(what) < 3 {
			continue
		}
		options := strings.Split(what[2], ",")
		dax := slices.Contains(options, "dax") || slices.Contains(options, "dax=always")
		if dax && len(where[4]) >= len(best) {
			best, found = where[4], true
		}
	}
	return best, found
}

// flushProbes are about the instructions that make stores durable.
func flushProbes() []Probe {
	all := make([]Probe, 0, len(sys.FlushInstructions))
	for _, ins := range sys.FlushInstructions {
		all = append(all, Probe{
			ID: "pm-flush-" + ins.Name, Subject: Persistent, Source: "processor manual; /proc/cpuinfo flag " + ins.Flag,
			Claim:      "the processor has " + ins.Name + ", as /proc/cpuinfo says",
			Experiment: ins.Name + " of an own cache line, in a process of its own",
			Control:    "an instruction that every processor has, and one that none has",
			Oracle:     "it runs: confirmed; SIGILL: refuted",
			run: func(t *trial) {
				if !cpuFlag(ins.Flag) {
					t.stop(Missing, "/proc/cpuinfo has no %s", ins.Flag)
				}
				compare(t, experiment[string]{try: "execution", do: func(name string) Answer {
					answers, err := t.stage("instruction", syscall.SysProcAttr{}, nil, name)
					if err != nil && strings.Contains(err.Error(), "SIGILL") {
						return "SIGILL"
					}
					t.must("a process", err)
					return answers[0]
				},
					on: ins.Name, subject: ins.Name, confirms: []Answer{Ran}, refutes: []Answer{"SIGILL"},
					controls: []control[string]{{"a return", "", Ran}, {"an undefined instruction", "undefined", "SIGILL"}}})
			},
		})
	}
	return all
}

func init() {
	stages["instruction"] = func(t *trial, args []string) []Answer {
		code := sys.ReturnCode(ran)
		b := t.anon(2)
		for _, ins := range sys.FlushInstructions {
			if ins.Name == args[0] {
				code = append(ins.Code(sys.Addr(b[pageSize:])), code...)
			}
		}
		if args[0] == "undefined" {
			code = sys.UndefinedCode()
		}
		copy(b, code)
		t.must("mprotect", sys.Mprotect(b[:pageSize], rx))
		return []Answer{call(b)}
	}
}

func cpuFlag(flag string) bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name == "flags" || name == "Features" {
			return slices.Contains(strings.Fields(value), flag)
		}
	}
	return false
}

// orderProbes are about what other threads see of stores, as far as software can tell; what
// a power cut leaves of them it can't.
func orderProbes() []Probe {
	const short, long = 300 * time.Millisecond, 20 * time.Second
	return []Probe{{
		ID: "pm-torn", Subject: Persistent, Source: "processor manuals: aligned stores of 8 bytes are atomic",
		Requirement: "SV-PER-02",
		Claim:       "an aligned store of 8 bytes is never seen in part",
		Experiment:  "one thread stores 0 and ^0 in turns, another loads, for 0.3 s",
		Control:     "the same across two cache lines, where it is seen in part",
		Oracle:      "whole: confirmed; torn: refuted", Needs: Needs{Alone: true, Limit: time.Minute},
		run: func(t *trial) {
			page := t.anon(1)
			compare(t, experiment[int]{try: "stores and loads of 8 bytes", do: func(offset int) Answer {
				b := page[offset:]
				sys.StoreWord(b, 0)
				torn, loads, atMost := 0, 0, short
				if offset%64 != 0 { // the control ends with the first one
					atMost = long
				}
				t.beside(func() { sys.StoreWord(b, 0); sys.StoreWord(b, ^uint64(0)) }, func(stop *atomic.Bool) {
					for end := time.Now().Add(t.span(atMost)); !stop.Load(); loads++ {
						if v := sys.LoadWord(b); v != 0 && v != ^uint64(0) {
							torn++
						}
						if loads%1024 == 0 && (time.Now().After(end) || torn > 0) {
							stop.Store(true)
						}
					}
				})
				t.note("loads", "at %d: %d, %d of them torn", offset, loads, torn)
				if torn > 0 {
					return "torn"
				}
				return "whole"
			},
				on: "an aligned word", subject: 64, confirms: []Answer{"whole"}, refutes: []Answer{"torn"},
				controls: []control[int]{{"a word across two cache lines", 124, "torn"}}})
		},
	}, {
		ID: "pm-order", Subject: Persistent, Source: "Intel SDM 3A 9.2, AMD APM 2 7.1: stores are seen in their order (x86)",
		Requirement: "SV-PER-02",
		Claim:       "two stores of one thread are seen by another in their order",
		Experiment:  "one thread stores to two cache lines, another loads the second and then the first, again and again for a second",
		Control:     "each thread stores to one line and then loads the other: there a load overtakes a store",
		Oracle:      "in order: confirmed; out of order: refuted (arm64 may)", Needs: Needs{Alone: true, Limit: time.Minute},
		run: func(t *trial) {
			t.twoCPUs()
			compare(t, experiment[litmus]{try: "memory order of two threads", do: t.litmus, on: "two stores, two loads",
				subject: messagePassing, confirms: []Answer{"in order"}, refutes: []Answer{"out of order"},
				controls: []control[litmus]{{"a store and a load by each", storeBuffering, "out of order"}}})
		},
	}}
}

// beside has another thread do something over and over while watch runs, which sets stop. The
// two are on processors of their own.
func (t *trial) beside(do func(), watch func(stop *atomic.Bool)) {
	cpus := t.twoCPUs()
	t.must("a processor", sys.RunOn(cpus[0]))
	defer sys.RunOn(cpus...)
	var stop atomic.Bool
	placed, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		placed <- sys.RunOn(cpus[1])
		for !stop.Load() {
			for range 64 {
				do()
			}
		}
	}()
	t.must("another processor", <-placed)
	watch(&stop)
	<-done
}

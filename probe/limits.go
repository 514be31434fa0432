package probe

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

const manLimits = "getrlimit(2)"

// limitProbes are about limits of a process that refuse memory, where the host over-commits.
func limitProbes() []Probe {
	all := []Probe{limitAS(), limitData(), limitDataMprotect(), limitStack(), limitCore()}
	for i := range all {
		all[i].Subject = Residency
	}
	return all
}

// limitedCalls are calls of a forked child that has set a limit for itself before. The limit ends
// with the child.
type limitedCalls struct {
	resource int
	limit    uint64
	calls    []sys.RawCall
}

func (l *limitedCalls) run(t *trial) Answer {
	arg := t.anon(1) // struct rlimit64: the soft and the hard limit
	binary.NativeEndian.PutUint64(arg, l.limit)
	binary.NativeEndian.PutUint64(arg[8:], l.limit)
	calls := append([]sys.RawCall{{Number: sys.CallPrlimit,
		Args: [6]uintptr{0, uintptr(l.resource), uintptr(sys.Addr(arg))}}}, l.calls...)
	a := t.childCalls(calls...)
	if calls[0].Errno != 0 {
		t.stop(Failed, "prlimit: %s", answer(calls[0].Errno))
	}
	return a
}

// status returns a number of bytes of /proc/self/status.
func (t *trial) status(name string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	t.must("/proc/self/status", err)
	_, rest, _ := strings.Cut(string(text), "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	t.must(name, err)
	return n << 10
}

// mmapCall maps memory wherever the kernel likes.
func mmapCall(size, prot, flags int) sys.RawCall {
	return sys.RawCall{Number: sys.CallMmap, Args: [6]uintptr{0, uintptr(size), uintptr(prot),
		uintptr(flags | sys.MapAnonymous), ^uintptr(0)}}
}

// limitAS asks for inaccessible memory, which costs nobody anything.
func limitAS() Probe {
	const spare, most = 256 << 20, 1 << 30
	return Probe{
		ID: "rl-as", Source: manLimits + ", RLIMIT_AS",
		Claim:      "RLIMIT_AS limits the address space, of inaccessible memory too",
		Experiment: "mmap(PROT_NONE) of 1 GiB in a forked child whose limit leaves 256 MiB", Control: "mmap of 16 MiB",
		Oracle: "ENOMEM: confirmed; ok: refuted",
		run: func(t *trial) {
			compare(t, experiment[int]{try: "mmap with RLIMIT_AS", do: func(size int) Answer {
				l := limitedCalls{sys.LimitAS, t.status("VmSize") + spare, []sys.RawCall{mmapCall(size, sys.ProtNone, private)}}
				return l.run(t)
			},
				on: "1 GiB, inaccessible", subject: most, confirms: []Answer{"ENOMEM"}, refutes: []Answer{OK},
				controls: []control[int]{{"16 MiB, inaccessible", 16 << 20, OK}}})
		},
	}
}

// What is asked for with RLIMIT_DATA, in bytes, and what the limit leaves.
const dataAsked, dataLeft = 4 << 20, 2 << 20

func limitData() Probe {
	return Probe{
		ID: "rl-data", Since: "4.7", Source: manLimits + ", RLIMIT_DATA", Requirement: "SV-CMT-01",
		Claim:      "RLIMIT_DATA limits all private writable memory, not the heap alone",
		Experiment: "mmap of 4 MiB, private and writable, in a forked child whose limit leaves 2 MiB",
		Control:    "the same of shared memory, and of memory that can't be written",
		Oracle:     "ENOMEM: confirmed; ok: refuted",
		run: func(t *trial) {
			type kind struct{ prot, flags int }
			compare(t, experiment[kind]{try: "mmap with RLIMIT_DATA", do: func(k kind) Answer {
				l := limitedCalls{sys.LimitData, t.status("VmData") + dataLeft, []sys.RawCall{mmapCall(dataAsked, k.prot, k.flags)}}
				return l.run(t)
			},
				on: "private writable memory", subject: kind{rw, private}, confirms: []Answer{"ENOMEM"}, refutes: []Answer{OK},
				controls: []control[kind]{{"shared writable memory", kind{rw, shared}, OK},
					{"private memory that can't be written", kind{sys.ProtRead, private}, OK}}})
		},
	}
}

func limitDataMprotect() Probe {
	return Probe{
		ID: "rl-data-mprotect", Since: "4.7", Source: manLimits + ", RLIMIT_DATA; mprotect(2), ENOMEM", Requirement: "SV-CMT-01",
		Claim:      "memory that was mapped before counts against RLIMIT_DATA when it becomes writable: a reserve is not a promise",
		Experiment: "mprotect of 4 MiB to writable, in a forked child whose limit leaves 2 MiB",
		Control:    "the same of shared memory", Oracle: "ENOMEM: confirmed; ok: refuted",
		run: func(t *trial) {
			reserve := func(flags int) []byte { return t.mapped(dataAsked/pageSize, sys.ProtNone, flags, nil) }
			compare(t, experiment[[]byte]{try: "mprotect with RLIMIT_DATA", do: func(b []byte) Answer {
				l := limitedCalls{sys.LimitData, t.status("VmData") + dataLeft, []sys.RawCall{{Number: sys.CallMprotect,
					Args: [6]uintptr{uintptr(sys.Addr(b)), uintptr(len(b)), rw}}}}
				return l.run(t)
			},
				on: "private inaccessible memory", subject: reserve(private), confirms: []Answer{"ENOMEM"}, refutes: []Answer{OK},
				controls: []control[[]byte]{{"shared inaccessible memory", reserve(shared), OK}}})
		},
	}
}

func limitStack() Probe {
	return Probe{
		ID: "rl-stack", Source: manLimits + ", RLIMIT_STACK; mmap(2), MAP_GROWSDOWN",
		Claim:      "RLIMIT_STACK limits how far a stack grows: a store beyond is a fault, not an error",
		Experiment: "a store 32 pages below a mapping with MAP_GROWSDOWN, in a forked child with a limit of 16 pages",
		Control:    "a store 8 pages below", Oracle: "SIGSEGV: confirmed; ok: refuted",
		run: func(t *trial) {
			s := t.stack()
			compare(t, experiment[int]{try: "store below a stack", do: func(below int) Answer {
				l := limitedCalls{sys.LimitStack, uint64(16 * pageSize), append(s.make(), s.storeBelow(below))}
				return l.run(t)
			},
				on: "32 pages, with a limit of 16", subject: 32, confirms: []Answer{segv}, refutes: []Answer{OK},
				controls: []control[int]{{"8 pages", 8, OK}}})
		},
	}
}

func limitCore() Probe {
	return Probe{
		ID: "rl-core", Source: manLimits + ", RLIMIT_CORE; core(5)", Needs: Needs{Folder: true}, Requirement: "SV-XDM-05",
		Claim:      "with RLIMIT_CORE 0 a process that dies of a fault leaves no core dump",
		Experiment: "a fault in a forked child with a limit of 0", Control: "with a limit of 1 GiB",
		Oracle:  "no core dump: confirmed; a core dump: refuted",
		Cleanup: "the core dump is in the temporary folder",
		run: func(t *trial) {
			t.coresHere()
			compare(t, experiment[uint64]{try: "a fault", do: func(limit uint64) Answer {
				l := limitedCalls{sys.LimitCore, limit, dumpsCore()}
				if a := l.run(t); a != segv {
					return a
				}
				cores, _ := filepath.Glob("*")
				for _, name := range cores {
					t.must("a core dump", os.Remove(name))
				}
				return Answer(map[bool]Answer{true: "a core dump", false: "no core dump"}[len(cores) > 0])
			},
				on: "a limit of 0", subject: 0, confirms: []Answer{"no core dump"}, refutes: []Answer{"a core dump"},
				controls: []control[uint64]{{"a limit of 1 GiB", 1 << 30, "a core dump"}}})
		},
	}
}

// dumpsCore is what a forked child does to leave a core dump: otherwise it leaves none.
func dumpsCore() []sys.RawCall {
	return []sys.RawCall{{Number: sys.CallPrctl, Args: [6]uintptr{sys.PrSetDumpable, 1}},
		{Number: sys.CallLoad, Args: [6]uintptr{noAddress}}}
}

// coresHere goes to the temporary folder, where core dumps are written then. It stops the
// probe where they go elsewhere: to a program of the host, or to another folder.
func (t *trial) coresHere() {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	t.must("core_pattern", err)
	if p := strings.TrimSpace(string(pattern)); p == "" || strings.ContainsAny(p, "|/@") {
		t.stop(Missing, "kernel.core_pattern is %q: core dumps go elsewhere", p)
	}
	t.must("chdir", os.Chdir(t.dir))
	var limit syscall.Rlimit
	t.must("RLIMIT_CORE", syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	if limit.Max < 1<<30 {
		t.stop(Privilege, "RLIMIT_CORE can't be raised to 1 GiB")
	}
}

package probe

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

// noRandom is ADDR_NO_RANDOMIZE of personality(2).
const noRandom = 0x0040000

// places are the parts of the address space that the kernel puts anywhere.
var places = map[string]func(*trial) uint64{
	"mmap":  (*trial).firstMapping,
	"stack": func(t *trial) uint64 { return sys.Addr(t.find("[stack]")) },
	"vdso":  func(t *trial) uint64 { return sys.Addr(t.find("[vdso]")) },
	"heap": func(t *trial) uint64 {
		calls := []sys.RawCall{{Number: sys.CallBrk}}
		_, err := sys.ForkCalls(calls)
		t.must("fork", err)
		return calls[0].Result
	},
}

// firstMapping is the end of the highest anonymous mapping, which was made first: the
// kernel goes downwards from there. What the runtime maps later is elsewhere each time.
func (t *trial) firstMapping() uint64 {
	highest := uint64(0)
	var r vma.Reader
	p := t.own()
	defer p.Close()
	t.must("/proc/self/maps", r.Maps(p, func(v *vma.VMA) error {
		if len(v.Name) == 0 || bytes.HasPrefix(v.Name, []byte("[anon")) {
			highest = max(highest, v.End)
		}
		return nil
	}))
	return highest
}

func init() {
	stages["place"] = func(t *trial, args []string) []Answer {
		return []Answer{Answer("0x" + strconv.FormatUint(places[args[0]](t), 16))}
	}
}

// randomProbes are about where the kernel puts things in a fresh address space.
func randomProbes() []Probe {
	const executions = 4
	var all []Probe
	for _, p := range []struct{ id, what string }{{"mmap", "the mappings"}, {"stack", "the stack"}, {"vdso", "the vDSO"}, {"heap", "the heap (brk)"}} {
		all = append(all, Probe{
			ID: "kd-random-" + p.id, Source: "Documentation/admin-guide/sysctl/kernel.rst, randomize_va_space",
			Requirement: "SV-KCT-02", Severity: guarantee.Low,
			Claim:      fmt.Sprintf("the kernel puts %s elsewhere at each execution of a program", p.what),
			Experiment: fmt.Sprintf("where %s of this program is, in %d executions", p.what, executions),
			Control:    "the same with personality(ADDR_NO_RANDOMIZE)",
			Oracle:     "elsewhere: confirmed; at the same place: refuted", Remedy: "Set kernel.randomize_va_space=2.",
			run: func(t *trial) {
				compare(t, experiment[uint64]{try: fmt.Sprintf("%d executions", executions), do: func(persona uint64) Answer {
					return t.placed(p.id, persona, executions)
				},
					on: "this program", subject: 0, confirms: []Answer{"elsewhere"}, refutes: []Answer{"at the same place"},
					controls: []control[uint64]{{"ADDR_NO_RANDOMIZE", noRandom, "at the same place"}}})
			},
		})
	}
	return all
}

// placed executes this program again and again, and says whether a part of its address space
// was always at the same place.
func (t *trial) placed(what string, persona uint64, times int) Answer {
	if errno := sys.RawCallErrno("personality", persona); errno != 0 {
		t.stop(Failed, "personality: %v", errno)
	}
	seen := map[Answer]bool{}
	for range times {
		answers, err := t.stage("place", syscall.SysProcAttr{}, nil, what)
		t.must("a process", err)
		seen[answers[0]] = true
	}
	if len(seen) > 1 {
		return "elsewhere"
	}
	return "at the same place"
}

package guard

import (
	"runtime"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// filter is a seccomp filter in the making: rules that are tried in their order, and what none of them
// answers is allowed. The architecture is checked first: calls of another one, of x32 and of 32-bit
// code have other numbers, and kill the process.
type filter struct {
	rules []rule
	deny  uint32 // the answer to what a rule forbids
}

// rule answers a call of which all conditions are true.
type rule struct {
	call   string
	when   []condition
	answer uint32
}

// condition is about the lowest 32 bits of an argument: of flags, and of most numbers, the kernel looks at no
// others. Where it does, a rule with [wide] stands beside.
type condition struct {
	arg  int
	op   operator
	bits uint32
}

type operator uint8

const (
	has   operator = iota // one of the bits is set
	lacks                 // none of the bits is set
	every                 // all of the bits are set
	is                    // it is this number
	isNot
	wide // one of the other 32 bits is set; bits says nothing
)

// Instructions of classic BPF (include/uapi/linux/bpf_common.h).
const (
	bpfLoad      = 0x20 // A = data[K:K+4]
	bpfAnd       = 0x54 // A &= K
	bpfJumpEqual = 0x15
	bpfJumpGE    = 0x35
	bpfJumpSet   = 0x45
	bpfReturn    = 0x06
)

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// x32Bit is set in the numbers of x32 calls.
const x32Bit = 0x40000000

func errno(e syscall.Errno) uint32 { return sys.SeccompErrno | uint32(e) }

// forbid adds a rule that refuses a call.
func (f *filter) forbid(e syscall.Errno, call string, when ...condition) {
	answer := errno(e)
	if f.deny == sys.SeccompKill {
		answer = sys.SeccompKill
	}
	f.add(answer, call, when...)
}

func (f *filter) add(answer uint32, call string, when ...condition) {
	f.rules = append(f.rules, rule{call, when, answer})
}

// program assembles the filter.
func (f *filter) program() []sys.Instruction {
	p := []sys.Instruction{
		{Code: bpfLoad, K: dataArch},
		{Code: bpfJumpEqual, K: sys.AuditArch(), Jt: 1},
		{Code: bpfReturn, K: sys.SeccompKill},
	}
	if runtime.GOARCH == "amd64" {
		p = append(p,
			sys.Instruction{Code: bpfLoad, K: dataNumber},
			sys.Instruction{Code: bpfJumpGE, K: x32Bit, Jf: 1},
			sys.Instruction{Code: bpfReturn, K: sys.SeccompKill})
	}
	for _, r := range f.rules {
		p = append(p, r.assemble()...)
	}
	return append(p, sys.Instruction{Code: bpfReturn, K: sys.SeccompAllow})
}

// assemble makes the instructions of a rule. Where a condition is not true they jump behind its end.
func (r *rule) assemble() []sys.Instruction {
	p := []sys.Instruction{
		{Code: bpfLoad, K: dataNumber},
		{Code: bpfJumpEqual, K: sys.CallNumbers[r.call]},
	}
	fail := []int{1}    // where the jump if false leaves the rule
	var otherwise []int // where the jump if true does
	for _, c := range r.when {
		at := uint32(dataArgs + 8*c.arg)
		if c.op == wide {
			at += 4 // amd64 and arm64 have the lower half first
		}
		p = append(p, sys.Instruction{Code: bpfLoad, K: at})
		switch c.op {
		case has, lacks:
			p = append(p, sys.Instruction{Code: bpfJumpSet, K: c.bits})
		case every:
			p = append(p, sys.Instruction{Code: bpfAnd, K: c.bits}, sys.Instruction{Code: bpfJumpEqual, K: c.bits})
		case is, isNot, wide:
			p = append(p, sys.Instruction{Code: bpfJumpEqual, K: c.bits})
		}
		if c.op == lacks || c.op == isNot || c.op == wide {
			otherwise = append(otherwise, len(p)-1)
		} else {
			fail = append(fail, len(p)-1)
		}
	}
	p = append(p, sys.Instruction{Code: bpfReturn, K: r.answer})
	for _, at := range fail {
		p[at].Jf = uint8(len(p) - at - 1)
	}
	for _, at := range otherwise {
		p[at].Jt = uint8(len(p) - at - 1)
	}
	return p
}

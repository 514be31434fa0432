package probe

import (
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

const manMDWE = "PR_SET_MDWE(2const)"

func init() {
	stages["mdwe-get"] = func(*trial, []string) []Answer {
		n, err := sys.Prctl(sys.PrGetMDWE)
		if err != nil {
			return []Answer{answer(err)}
		}
		return []Answer{Answer(strconv.Itoa(n))}
	}
	stages["mdwe-set-exec"] = func(t *trial, args []string) []Answer {
		bits, _ := strconv.Atoi(args[0])
		if _, err := sys.Prctl(sys.PrSetMDWE, uintptr(bits)); err != nil {
			return []Answer{answer(err)}
		}
		answers, err := t.stage("mdwe-get", syscall.SysProcAttr{}, nil)
		if err != nil {
			return []Answer{answer(err)}
		}
		return answers
	}
}

// mdwe forbids this process to gain executable memory, or stops the probe.
func (t *trial) mdwe() {
	if _, err := sys.Prctl(sys.PrSetMDWE, sys.MDWERefuseExecGain); err != nil {
		t.stop(Missing, "prctl(PR_SET_MDWE): %s (before Linux 6.3)", answer(err))
	}
}

// mdweProbes are about one process that forbids itself to gain executable memory. What is
// done without it is done by a child that was forked before.
func mdweProbes() []Probe {
	page := uintptr(pageSize)
	set := sys.RawCall{Number: sys.CallPrctl, Args: [6]uintptr{sys.PrSetMDWE, sys.MDWERefuseExecGain}}
	get := sys.RawCall{Number: sys.CallPrctl, Args: [6]uintptr{sys.PrGetMDWE}}
	// in makes a call in a child that has set MDWE, or in one that has not.
	in := func(t *trial, call sys.RawCall) func(bool) Answer {
		return func(mdwe bool) Answer {
			first := get
			if mdwe {
				first = set
			}
			calls := []sys.RawCall{first, call}
			a := t.childCalls(calls...)
			if calls[0].Errno != 0 {
				t.stop(Missing, "prctl(PR_SET_MDWE): %s (before Linux 6.3)", answer(calls[0].Errno))
			}
			return a
		}
	}
	refuses := func(id, claim, try string, call func(t *trial) sys.RawCall) Probe {
		return Probe{
			ID: id, Subject: Sealing, Since: "6.3", Source: manMDWE, Claim: claim, Requirement: "SV-XDM-03",
			Experiment: try + " in a child with PR_MDWE_REFUSE_EXEC_GAIN", Control: "the same in a child without",
			Oracle: "EACCES: confirmed; ok: refuted",
			run: func(t *trial) {
				compare(t, experiment[bool]{try: try, do: in(t, call(t)), on: "a child with MDWE", subject: true,
					confirms: []Answer{"EACCES"}, refutes: []Answer{OK},
					controls: []control[bool]{{"a child without", false, OK}}})
			},
		}
	}
	anonMap := func(prot int) func(*trial) sys.RawCall {
		return func(*trial) sys.RawCall {
			return sys.RawCall{Number: sys.CallMmap,
				Args: [6]uintptr{0, page, uintptr(prot), private | sys.MapAnonymous, ^uintptr(0), 0}}
		}
	}
	return []Probe{
		refuses("mdwe-rwx", "with MDWE no memory can be mapped writable and executable",
			"mmap(PROT_READ|PROT_WRITE|PROT_EXEC)", anonMap(rw|rx)),
		refuses("mdwe-gain", "with MDWE memory can't become executable that was not",
			"mprotect(PROT_READ|PROT_EXEC) of writable memory", func(t *trial) sys.RawCall {
				b := t.anon(1)
				return sys.RawCall{Number: sys.CallMprotect, Args: [6]uintptr{uintptr(sys.Addr(b)), page, uintptr(rx)}}
			}),
		{
			ID: "mdwe-clear", Subject: Sealing, Since: "6.3", Source: manMDWE,
			Claim:      "MDWE can't be taken back",
			Experiment: "prctl(PR_SET_MDWE, 0) after it was set", Control: "prctl(PR_SET_MDWE, 0) before",
			Oracle: "EPERM: confirmed; ok: refuted",
			run: func(t *trial) {
				compare(t, experiment[bool]{try: "prctl(PR_SET_MDWE, 0)",
					do: in(t, sys.RawCall{Number: sys.CallPrctl, Args: [6]uintptr{sys.PrSetMDWE}}),
					on: "a child with MDWE", subject: true, confirms: []Answer{"EPERM"}, refutes: []Answer{OK},
					controls: []control[bool]{{"a child without", false, OK}}})
			},
		},
		mdweInherit(), mdweDual(), mdweProcMem(),
	}
}

func mdweInherit() Probe {
	return Probe{
		ID: "mdwe-exec", Subject: Sealing, Since: "6.3", Source: manMDWE,
		Claim:      "MDWE is kept over fork and execve",
		Experiment: "PR_GET_MDWE in a program that a process with MDWE has executed",
		Control:    "the same with PR_MDWE_NO_INHERIT",
		Oracle:     "1: confirmed; 0: refuted",
		run: func(t *trial) {
			do := func(bits string) Answer {
				answers, err := t.stage("mdwe-set-exec", syscall.SysProcAttr{}, nil, bits)
				t.must("a process", err)
				return answers[0]
			}
			if a := do("1"); a == "EINVAL" {
				t.stop(Missing, "prctl(PR_SET_MDWE): EINVAL (before Linux 6.3)")
			}
			compare(t, experiment[string]{try: "PR_GET_MDWE after execve", do: do, on: "PR_MDWE_REFUSE_EXEC_GAIN",
				subject: "1", confirms: []Answer{"1"}, refutes: []Answer{"0"},
				controls: []control[string]{{"nothing set", "0", "0"}}})
			t.note("with PR_MDWE_NO_INHERIT (6.6)", "%s", do("3"))
		},
	}
}

func mdweDual() Probe {
	return Probe{
		ID: "mdwe-dual", Row: "MDWE-DUAL", Subject: Sealing, Since: "6.3", Source: manMDWE + ", by its name: Memory-Deny-Write-Execute",
		Requirement: "SV-XDM-03",
		Claim:       "with MDWE no code can be run that the process has written",
		Experiment:  "a memfd mapped shared, once writable and once executable; code is written by the one and called by the other",
		Control:     "anonymous memory that is written, then made executable; the memfd mapped without PROT_EXEC",
		Oracle:      "EACCES or a fault: confirmed; the code runs: refuted",
		Remedy:      "MDWE alone does not do it: deny executable mappings of memfds as well.",
		run: func(t *trial) {
			f := t.coded(t.exec())
			t.mdwe()
			type way struct {
				memfd bool
				prot  int
			}
			compare(t, experiment[way]{try: "write and call", do: func(w way) Answer {
				if !w.memfd {
					b := t.anon(1)
					copy(b, sys.ReturnCode(ran))
					if err := sys.Mprotect(b, w.prot); err != nil {
						return answer(err)
					}
					return call(b)
				}
				copy(t.mapped(1, rw, shared, f), sys.ReturnCode(ran))
				b, err := sys.Mmap(pageSize, w.prot, shared, int(f.Fd()), 0)
				if err != nil {
					return answer(err)
				}
				return call(b)
			},
				on: "two mappings of a memfd", subject: way{true, rx}, confirms: []Answer{"EACCES", "EPERM", Fault},
				refutes: []Answer{Ran},
				controls: []control[way]{{"anonymous memory", way{false, rx}, "EACCES"},
					{"a mapping without PROT_EXEC", way{true, sys.ProtRead}, Fault}}})
		},
	}
}

func mdweProcMem() Probe {
	return Probe{
		ID: "mdwe-proc-mem", Row: "MDWE-DUAL", Subject: Sealing, Since: "6.3",
		Source: manMDWE + ", by its name: Memory-Deny-Write-Execute", Requirement: "SV-XDM-03",
		Claim:      "with MDWE executable memory can't be written (here: by /proc/self/mem)",
		Experiment: "a write of code to executable memory by /proc/self/mem, then a call",
		Control:    "a store by the processor; a call of memory that is not executable",
		Oracle:     "EIO: confirmed; the code runs: refuted",
		Remedy:     "Boot with proc_mem.force_override=never, or deny /proc/self/mem.",
		run: func(t *trial) {
			t.mdwe()
			mem := t.memFile()
			type way struct {
				byMem bool
				prot  int
			}
			compare(t, experiment[way]{try: "write and call", do: func(w way) Answer {
				b := t.mapped(1, w.prot, private, nil)
				code := sys.ReturnCode(ran)
				if !w.byMem {
					if a := faulting(func() { copy(b, code) }); a != OK {
						return "the store faults"
					}
				} else if _, err := sys.Pwrite(mem, code, int64(sys.Addr(b))); err != nil {
					return answer(err)
				}
				return call(b)
			},
				on: "executable memory, by /proc/self/mem", subject: way{true, rx}, confirms: []Answer{"EIO"},
				refutes: []Answer{Ran},
				controls: []control[way]{{"executable memory, by a store", way{false, rx}, "the store faults"},
					{"memory that is not executable", way{false, rw}, Fault}}})
		},
	}
}

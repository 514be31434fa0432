package probe

import (
	"os"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

const docParameters = "Documentation/admin-guide/kernel-parameters.txt"

// defenceProbes are about defences of the kernel that have an effect which a process can see.
func defenceProbes() []Probe {
	all := slices.Concat([]Probe{noExec(), lowestAddress(), stackGap()}, randomProbes(), clearedProbes(), barredProbes())
	for i := range all {
		all[i].Subject = Defences
	}
	return all
}

func noExec() Probe {
	return Probe{
		ID: "kd-nx", Source: "mmap(2), PROT_EXEC", Requirement: "SV-KCT-02", Severity: guarantee.High,
		Claim:      "memory without PROT_EXEC can't be executed",
		Experiment: "a call of code in writable memory", Control: "a call of the same code in executable memory",
		Oracle: "fault: confirmed; the code runs: refuted",
		run: func(t *trial) {
			compare(t, experiment[int]{try: "call", do: func(prot int) Answer {
				b := t.anon(1)
				copy(b, sys.ReturnCode(ran))
				t.must("mprotect", sys.Mprotect(b, prot))
				return call(b)
			},
				on: "writable memory", subject: rw, confirms: []Answer{Fault}, refutes: []Answer{Ran},
				controls: []control[int]{{"executable memory", rx, Ran}}})
		},
	}
}

func lowestAddress() Probe {
	return Probe{
		ID: "kd-null", Source: "Documentation/admin-guide/sysctl/vm.rst, mmap_min_addr", Requirement: "SV-KCT-02",
		Claim:      "a process without CAP_SYS_RAWIO can't map the page at address 0, where the kernel's null pointers point to",
		Experiment: "mmap(MAP_FIXED) of the first page, in a forked child", Control: "the same where the process had memory before",
		Oracle: "EPERM: confirmed; ok: refuted", Needs: Needs{Privilege: "none: it gives CAP_SYS_RAWIO up"},
		run: func(t *trial) {
			do := func(addr uint64) Answer {
				return t.childCalls(sys.RawCall{Number: sys.CallMmap, Args: [6]uintptr{uintptr(addr), uintptr(pageSize),
					sys.ProtRead, private | sys.MapAnonymous | sys.MapFixed, ^uintptr(0)}})
			}
			t.note("with the privileges of the caller", "%s", do(0))
			t.must("giving up capabilities", sys.DropCapabilities())
			compare(t, experiment[uint64]{try: "mmap(MAP_FIXED)", do: do, on: "the first page", subject: 0,
				confirms: []Answer{"EPERM"}, refutes: []Answer{OK}, controls: []control[uint64]{{"a page of its own", sys.Addr(t.anon(1)), OK}}})
		},
	}
}

// barred is a probe of what a process without privileges can't have. look names one of
// [looks], and seen is what it gives with the privileges of the caller.
func barred(p Probe, what, look string, seen Answer, confirms, refutes []Answer) Probe {
	p.Needs.Privilege = "root, for the control"
	p.Experiment = what + ", by a process without user and capabilities"
	p.Control = what + ", with those of the caller"
	p.Oracle = join(confirms) + ": confirmed; " + join(refutes) + ": refuted"
	p.run = func(t *trial) {
		if os.Geteuid() != 0 {
			t.stop(Privilege, "there is no control without root")
		}
		if a := looks[look](t); a == "ENOENT" || a == "ENOSYS" {
			t.stop(Missing, "%s: %s", what, a)
		}
		compare(t, experiment[string]{try: what, do: func(with string) Answer {
			answers, err := t.stage("look", syscall.SysProcAttr{}, nil, look, with)
			t.must("a process", err)
			return answers[0]
		},
			on: "a process without privileges", subject: "without", confirms: confirms, refutes: refutes,
			controls: []control[string]{{"the caller", "with", seen}}})
	}
	return p
}

func init() {
	looks["log"] = func(*trial) Answer { return answer(sys.ReadKernelLog(make([]byte, 4096))) }
	looks["bpf"] = func(*trial) Answer {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "safevma_probe", Type: ebpf.SocketFilter, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
		if err == nil {
			program.Close()
		}
		return answer(err)
	}
	looks["perf"] = func(*trial) Answer { return answer(sys.CountKernelTime()) }
	looks["uffd"] = func(*trial) Answer { return userfaultfdOfKernel() }
}

// userfaultfdOfKernel asks for one that sees the kernel's page faults too. What it gets ends
// with its process.
func userfaultfdOfKernel() Answer {
	if errno := sys.RawCallErrno("userfaultfd", syscall.O_CLOEXEC); errno != 0 {
		return answer(errno)
	}
	return OK
}

// barredProbes are about the ways into the kernel that were made for tools.
func barredProbes() []Probe {
	const sysctls = "Documentation/admin-guide/sysctl/"
	refused := []Answer{"EPERM", "EACCES"}
	one := func(id, claim, source, what, look, remedy string) Probe {
		return barred(Probe{ID: id, Claim: claim, Source: source, Requirement: "SV-KCT-01", Severity: guarantee.Low, Remedy: remedy},
			what, look, OK, refused, []Answer{OK})
	}
	return []Probe{
		one("kd-log", "the kernel's log, which may hold addresses, can't be read without CAP_SYSLOG",
			sysctls+"kernel.rst, dmesg_restrict", "syslog(SYSLOG_ACTION_READ_ALL)", "log", "Set kernel.dmesg_restrict=1."),
		one("kd-bpf", "a process without privileges can't load BPF programs", sysctls+"kernel.rst, unprivileged_bpf_disabled",
			"bpf(BPF_PROG_LOAD) of a socket filter", "bpf", "Set kernel.unprivileged_bpf_disabled=1."),
		one("kd-perf", "a process without privileges can't measure the kernel", sysctls+"kernel.rst, perf_event_paranoid",
			"perf_event_open of a clock, in the kernel too", "perf", "Set kernel.perf_event_paranoid=2 or higher."),
		one("kd-uffd", "a process without privileges can't hold the kernel's own page faults up",
			sysctls+"vm.rst, unprivileged_userfaultfd", "userfaultfd without UFFD_USER_MODE_ONLY", "uffd",
			"Set vm.unprivileged_userfaultfd=0."),
	}
}

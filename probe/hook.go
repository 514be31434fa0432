package probe

import (
	"os"
	"runtime"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/safevma/safevma/internal/sys"
)

// hookProbe is about what a security module sees of a memfd.
func hookProbe() Probe {
	return Probe{
		ID: "mf-hook", Subject: Memfd, Since: "6.19",
		Source:     "Linux commit 094e94d13b60, memfd,selinux: call security_inode_init_security_anon()",
		Claim:      "a security module is asked before a memfd is made",
		Experiment: "memfd_create by a thread to which a BPF LSM program refuses new anonymous files (inode_init_security_anon)",
		Control:    "userfaultfd, of which the kernel has always asked, and a pipe, of which it does not ask there",
		Oracle:     "EPERM: confirmed; ok: refuted",
		Cleanup:    "the program is attached for some milliseconds, and lets all other threads through",
		Needs:      Needs{Privilege: "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN; BPF LSM (lsm=…,bpf)", Alone: true},
		Remedy:     "Before that, watch memfd_create with seccomp, whose filter sees its flags.",
		run: func(t *trial) {
			makes := map[string]func() error{
				"a memfd": func() error {
					f, err := sys.MemfdCreate("safevma-probe", 0)
					if err == nil {
						f.Close()
					}
					return err
				},
				"a userfaultfd": func() error {
					u, err := sys.NewUserfaultfd(0)
					if err == nil {
						u.Close()
					}
					return err
				},
				"a pipe": func() error {
					r, w, err := os.Pipe()
					if err == nil {
						r.Close()
						w.Close()
					}
					return err
				},
			}
			defer t.refuseAnonymous().Close()
			compare(t, experiment[string]{try: "making a file under the hook", do: func(what string) Answer { return answer(makes[what]()) },
				on: "a memfd", subject: "a memfd", confirms: []Answer{"EPERM"}, refutes: []Answer{OK},
				controls: []control[string]{{"a userfaultfd", "a userfaultfd", "EPERM"}, {"a pipe", "a pipe", OK}}})
		},
	}
}

// refuseAnonymous has a BPF LSM program refuse new anonymous files to this thread. The
// arguments of the hook are left alone.
func (t *trial) refuseAnonymous() link.Link {
	runtime.LockOSThread()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "safevma_probe", Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "inode_init_security_anon", License: "GPL",
		Instructions: asm.Instructions{
			asm.FnGetCurrentPidTgid.Call(),
			asm.LoadImm(asm.R1, int64(os.Getpid())<<32|int64(syscall.Gettid()), asm.DWord),
			asm.JEq.Reg(asm.R0, asm.R1, "refuse"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R0, -int32(syscall.EPERM)).WithSymbol("refuse"),
			asm.Return(),
		},
	})
	if err != nil {
		t.stop(kind(err), "loading an LSM program: %s", answer(err))
	}
	attached, err := link.AttachLSM(link.LSMOptions{Program: program})
	t.must("attaching an LSM program", err)
	return attached
}

package feature

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/safevma/safevma/internal/sys"
)

const bpfLSMSource = "Documentation/bpf/prog_lsm.rst"

var (
	bpfLSMLoad = Feature{
		Name:       "bpf-lsm-load",
		Title:      "a BPF program can be loaded that decides over mprotect",
		Source:     bpfLSMSource,
		Privileged: true,
		Since:      "6.1",
		probe:      probeBPFLSMLoad,
	}
	bpfLSMEnforce = Feature{
		Name:       "bpf-lsm-enforce",
		Title:      "a BPF program that decides over mprotect is obeyed",
		Source:     bpfLSMSource,
		Risk:       "it attaches a BPF program that every mprotect on the host runs",
		Privileged: true,
		Since:      "6.1",
		probe:      probeBPFLSMEnforce,
	}
)

// loadLSM loads a program for the hook file_mprotect. The arguments of the hook are
// left alone: a program that tests one of them against NULL has made kernels crash.
func loadLSM(instructions asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "safevma_lab", Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "file_mprotect",
		License: "GPL", Instructions: instructions,
	})
}

var allow = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}

// probeBPFLSMLoad loads a program, and attaches it to nothing. The control is a program
// of another type that needs the same capabilities: a refusal is then not for the lack
// of them.
func probeBPFLSMLoad() Result {
	other, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "safevma_lab", Type: ebpf.RawTracepoint, License: "GPL", Instructions: allow})
	if err != nil {
		return noControl("loading a raw tracepoint program", err)
	}
	other.Close()
	const control, call = "loading a raw tracepoint program: ok", "loading an LSM program"
	program, err := loadLSM(allow)
	switch {
	case err == nil:
		program.Close()
		return present(outcome(call, nil), control)
	case errors.Is(err, ebpf.ErrNotSupported):
		return missing(call, err, control)
	}
	return absentIf(call, err, control, syscall.EPERM, syscall.EINVAL, syscall.ENOTSUP)
}

// refuseThread is a program that answers EPERM to one thread, and lets all others
// through.
func refuseThread(pid, tid int) asm.Instructions {
	return asm.Instructions{
		asm.FnGetCurrentPidTgid.Call(),
		asm.LoadImm(asm.R1, int64(pid)<<32|int64(tid), asm.DWord),
		asm.JEq.Reg(asm.R0, asm.R1, "refuse"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, -int32(syscall.EPERM)).WithSymbol("refuse"),
		asm.Return(),
	}
}

// probeBPFLSMEnforce has a program refuse mprotect to the calling thread. The controls
// are the same call before, after the program is detached, and from another thread.
func probeBPFLSMEnforce() Result {
	if r := probeBPFLSMLoad(); r.Answer != Present {
		return r
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	page, err := ownPages(1)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(page)
	if err := mprotectBack(page); err != nil {
		return noControl("mprotect before", err)
	}
	program, err := loadLSM(refuseThread(os.Getpid(), syscall.Gettid()))
	if err != nil {
		return unknown("loading an LSM program", err)
	}
	defer program.Close()
	attached, err := link.AttachLSM(link.LSMOptions{Program: program})
	if err != nil {
		return absentIf("attaching an LSM program", err, "mprotect before: ok", syscall.EPERM, syscall.EINVAL, syscall.ENOTSUP, syscall.EBUSY)
	}
	own := mprotectBack(page)
	others := make(chan error)
	go func() { others <- mprotectBack(page) }()
	other := <-others
	if err := attached.Close(); err != nil {
		return unknown("detaching", err)
	}
	if other != nil {
		return noControl("mprotect by another thread", other)
	}
	if err := detached(page); err != nil {
		return noControl("mprotect after", err)
	}
	return refused("mprotect by the thread", own, syscall.EPERM, "mprotect before, after, and by another thread: ok")
}

// detached waits until mprotect is allowed again: the kernel detaches a program some
// time after its link is closed.
func detached(page []byte) (err error) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = mprotectBack(page); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// mprotectBack takes writing from a page and gives it back.
func mprotectBack(page []byte) error {
	if err := sys.Mprotect(page, sys.ProtRead); err != nil {
		return err
	}
	if err := sys.Mprotect(page, readWrite); err != nil {
		return fmt.Errorf("giving writing back: %w", err)
	}
	return nil
}

package guard

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// inner is init of the namespace of the program. It traces it until its first instruction, and then
// reaps and passes signals on until it has ended.
func inner(w *wire, file *os.File, o *order, keep []*os.File) int {
	deaf()
	if err := mounts(w, o); err != nil {
		return fail(w, "inner", err)
	}
	places, err := o.mountIDs()
	if err != nil {
		return fail(w, "inner", err)
	}
	k := keeper{wire: w, order: o, init: os.Getpid() == 1, probe: firstFD + uint64(len(keep)) + orderFile}
	if !k.init { // what the program leaves behind comes to this process all the same
		if err := prctl("PR_SET_CHILD_SUBREAPER", sys.PrSetChildSubreaper, 1); err != nil {
			return fail(w, "inner", err)
		}
	}
	ours, theirs, err := sys.SocketPair("pass")
	if err != nil {
		return fail(w, "inner", err)
	}
	cmd := next("target", keep, file, w.socket, theirs)
	cmd.SysProcAttr.Ptrace = traceable
	cmd.SysProcAttr.Setpgid = true // which the terminal is lent to
	if err := cmd.Start(); err != nil {
		return fail(w, "inner", fmt.Errorf("start the target: %w", err))
	}
	theirs.Close()
	closeAll(keep)
	go func() {
		if listener, err := sys.ReceiveDescriptor(ours, "seccomp"); err == nil && listener != nil {
			(&watcher{listener, places}).serve()
		}
	}()
	k.pid = cmd.Process.Pid
	if err := k.bringUp(); err != nil {
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
		return fail(w, "inner", err)
	}
	go k.listen()
	return k.reap()
}

// keeper looks after the program.
type keeper struct {
	wire  *wire
	order *order
	pid   int
	init  bool   // of a namespace, which ends with it
	probe uint64 // descriptor of a memfd that the program begins with, until it was tried on it
}

// bringUp takes the target to the first instruction of the program, where it asks what holds, and
// waits until the launcher lets it go.
func (k *keeper) bringUp() error {
	if !traceable {
		return errors.Join(k.wait(message{Look: true}), k.wait(message{Ready: true}))
	}
	if err := k.toProgram(); err != nil {
		return err
	}
	t, err := stopped(k.pid)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return k.lock(t) },
		func() error { return k.ask(t) },
		func() error { return k.wait(message{Look: true}) },
		func() error { return k.undumpable(t) }, // from here on only root looks at it
		t.begin,
		func() error { return k.wait(message{Ready: true}) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := syscall.PtraceDetach(k.pid); err != nil {
		return fmt.Errorf("ptrace(DETACH): %w", err)
	}
	return nil
}

// wait says how far the program is, and waits until the launcher goes on.
func (k *keeper) wait(at message) error {
	if err := k.wire.send(at); err != nil {
		return err
	}
	m, err := k.wire.receive()
	if err != nil {
		return err
	}
	if !m.Go {
		return errors.New("the launcher does not start it")
	}
	return nil
}

// Stops of ptrace(2).
const (
	optionExec     = 0x10     // PTRACE_O_TRACEEXEC
	optionExitKill = 0x100000 // PTRACE_O_EXITKILL
	optionSysGood  = 0x1      // PTRACE_O_TRACESYSGOOD
	stopExec       = syscall.SIGTRAP | 4<<8
	stopCall       = syscall.SIGTRAP | 0x80
)

// toProgram follows the target from its own execve to the end of that of the program.
func (k *keeper) toProgram() error {
	var status syscall.WaitStatus
	if _, err := sys.Wait4(k.pid, &status, 0); err != nil || !status.Stopped() {
		return fmt.Errorf("the target did not start: %s (%w)", ending(status), errors.Join(err))
	}
	if err := syscall.PtraceSetOptions(k.pid, optionExec|optionExitKill|optionSysGood); err != nil {
		return fmt.Errorf("ptrace(SETOPTIONS): %w", err)
	}
	for executed, deliver := false, syscall.Signal(0); ; {
		resume := syscall.PtraceCont
		if executed {
			resume = syscall.PtraceSyscall
		}
		if err := resume(k.pid, int(deliver)); err != nil {
			return fmt.Errorf("ptrace(CONT): %w", err)
		}
		if _, err := sys.Wait4(k.pid, &status, 0); err != nil {
			return fmt.Errorf("wait4: %w", err)
		}
		if !status.Stopped() {
			return fmt.Errorf("the program was not executed: %s", ending(status))
		}
		deliver = 0
		switch stop := syscall.Signal(status >> 8); {
		case stop == stopExec:
			executed = true
		case stop == stopCall && executed:
			return nil
		default:
			deliver = status.StopSignal()
		}
	}
}

// ending says how a process ended.
func ending(s syscall.WaitStatus) string {
	switch {
	case s.Exited():
		return fmt.Sprintf("status %d", s.ExitStatus())
	case s.Signaled():
		return fmt.Sprintf("killed by signal %d (%v)", int(s.Signal()), s.Signal())
	}
	return fmt.Sprintf("wait status %#x", uint32(s))
}

// listen passes on what the launcher says. When it is gone, the program ends.
func (k *keeper) listen() {
	for {
		m, err := k.wire.receive()
		if err != nil {
			_ = syscall.Kill(k.pid, syscall.SIGKILL)
			return
		}
		k.signal(m.Signal)
	}
}

// signal sends the program a signal; what is of job control, to its whole process group, as a shell and
// a terminal do.
func (k *keeper) signal(s syscall.Signal) {
	switch s {
	case 0:
	case syscall.SIGCONT, syscall.SIGSTOP:
		if syscall.Kill(-k.pid, s) == nil {
			return
		}
		fallthrough // it has gone to another group
	default:
		_ = syscall.Kill(k.pid, s) // ESRCH: it has just ended
	}
}

// reap waits for the program, and for all that was left to this namespace.
func (k *keeper) reap() int {
	for {
		var status syscall.WaitStatus
		pid, err := sys.Wait4(-1, &status, syscall.WUNTRACED)
		switch {
		case err != nil:
			return fail(k.wire, "inner", fmt.Errorf("wait4: %w", err))
		case pid != k.pid:
		case status.Stopped():
			_ = k.wire.send(message{Stopped: status.StopSignal()})
		default:
			if !k.init {
				endChildren()
			}
			n := uint32(status)
			_ = k.wire.send(message{Ended: &n})
			return 0
		}
	}
}

// endChildren kills what is left to this process, and what that leaves in turn.
func endChildren() {
	for {
		left, err := children(os.Getpid())
		if err != nil || len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range left {
			if _, err := sys.Wait4(pid, nil, 0); err != nil {
				return
			}
		}
	}
}

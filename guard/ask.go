package guard

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// lock makes the program lock its memory: execve has ended all locks.
func (k *keeper) lock(t *tracee) error {
	s := &k.order.Settings
	if !k.order.applies(Lock) {
		return nil
	}
	flags := uint64(sys.MclCurrent | sys.MclFuture)
	if s.Lock == OnFault {
		flags |= sys.MclOnfault
	}
	_, errno, err := t.call("mlockall", flags)
	k.wire.step(Lock, fmt.Sprintf("mlockall(%d)", flags), asError(errno))
	return err
}

// undumpable makes the program say that nobody may look at it: execve has made it dumpable.
func (k *keeper) undumpable(t *tracee) error {
	if !k.order.Settings.on(NoDump) {
		return nil
	}
	before, _, err := t.call("prctl", sys.PrGetDumpable)
	if err != nil {
		return err
	}
	if k.order.applies(NoDump) {
		if _, _, err := t.call("prctl", sys.PrSetDumpable, 0); err != nil {
			return err
		}
	}
	after, _, err := t.call("prctl", sys.PrGetDumpable)
	if err != nil {
		return err
	}
	return k.say(NoDump, "prctl(PR_GET_DUMPABLE)", fmt.Sprint(after), "0", fmt.Sprintf("%d before it was set", before), before == 1)
}

// asError is the error of an errno, nil where that is 0.
func asError(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

func (k *keeper) say(r Rule, call, got, want, control string, shown bool) error {
	return k.wire.send(message{Asked: &observation{Rule: r, Call: call, Got: got, Want: want, Control: control, Shown: shown}})
}

// question is a call that the program is made to try.
type question struct {
	rule  Rule
	call  string
	shown string // how it is written
	args  []uint64
	want  string
}

// ask makes the program try what the rules forbid, beside something like it that they don't, and tells
// the launcher what the kernel answered. Where a violation kills, nothing can be tried.
func (k *keeper) ask(t *tracee) error {
	s := &k.order.Settings
	for _, ask := range []func(*tracee) error{k.askState, k.askMemfd, k.askCode, k.askWatch} {
		if err := ask(t); err != nil {
			return err
		}
	}
	if s.Violation == Kill {
		return nil
	}
	for _, q := range []question{
		{NoNamespaces, "unshare", "unshare(CLONE_NEWUSER, and no namespace)", []uint64{sys.NewUser | 1}, "EPERM"}, // else EINVAL
		{NoAttach, "process_vm_readv", "process_vm_readv(1, no bytes)", []uint64{1, 0, 0, 0, 0, 0}, "EPERM"},
		{NoURing, "io_uring_setup", "io_uring_setup(0, NULL)", []uint64{0, 0}, "EPERM"},
		{NoMerge, "madvise", "madvise(no bytes, MADV_MERGEABLE)", []uint64{0, 0, adviceMergeable}, "EPERM"},
		{KeepResident, "munlock", "munlock(0, 0)", []uint64{0, 0}, "EPERM"},
	} {
		if err := k.try(t, q); err != nil {
			return err
		}
	}
	return nil
}

// try compares a call of the program with the same call of this process, which no filter confines.
func (k *keeper) try(t *tracee, q question) error {
	if !k.order.Settings.on(q.rule) {
		return nil
	}
	_, errno, err := t.call(q.call, q.args...)
	if err != nil {
		return err
	}
	free := result(sys.RawCallErrno(q.call, q.args...))
	control := fmt.Sprintf("%s: %s by a process without the filter", q.shown, free)
	return k.say(q.rule, q.shown, result(errno), q.want, control, free != q.want)
}

// result is the name of an errno, or success.
func result(e syscall.Errno) string {
	if e == 0 {
		return "success"
	}
	return sys.ErrnoName(e)
}

// askState asks what prctl(2) says of the program.
func (k *keeper) askState(t *tracee) error {
	for _, q := range []struct {
		rule   Rule
		name   string
		option int
		want   uint64
	}{
		{MDWE, "prctl(PR_GET_MDWE)", sys.PrGetMDWE, sys.MDWERefuseExecGain},
		{NoHugePages, "prctl(PR_GET_THP_DISABLE)", sys.PrGetTHPDisable, 1},
		{NoMerge, "prctl(PR_GET_MEMORY_MERGE)", sys.PrGetMemoryMerge, 0},
	} {
		if !k.order.Settings.on(q.rule) {
			continue
		}
		n, errno, err := t.call("prctl", uint64(q.option))
		if err != nil {
			return err
		}
		got := fmt.Sprint(n)
		if errno != 0 {
			got = result(errno)
		}
		own, e := sys.Prctl(q.option)
		if q.rule == NoMerge && errno == syscall.EINVAL && e == syscall.EINVAL {
			continue // the kernel knows of none: see unmerged, and what madvise answers
		}
		control := fmt.Sprintf("%d of the process that started it", own)
		shown := e == nil && uint64(own) != q.want
		if q.rule == NoMerge { // 0 is what a process has; that it can be 1 is seen here
			_, set := sys.Prctl(sys.PrSetMemoryMerge, 1)
			own, e = sys.Prctl(q.option)
			_, _ = sys.Prctl(sys.PrSetMemoryMerge, 0)
			control, shown = fmt.Sprintf("%d of the process that started it, after it was set", own), set == nil && e == nil && own == 1
		}
		if err := k.say(q.rule, q.name, got, fmt.Sprint(q.want), control, shown); err != nil {
			return err
		}
	}
	return nil
}

const getSeals = 1034 // F_GET_SEALS (fcntl(2))

// askMemfd asks for a memfd with no flags, which the setting of the namespace makes one that can't be
// executed: the filter, which refuses one that is said to be, does not tell whether the setting is there.
func (k *keeper) askMemfd(t *tracee) error {
	if !k.order.Settings.on(MemfdNoExec) {
		return nil
	}
	fd, errno, err := t.call("memfd_create", t.name(), 0)
	if err != nil {
		return err
	}
	got := "memfd_create: " + result(errno)
	if errno == 0 {
		seals, _, err := t.call("fcntl", fd, getSeals)
		if err != nil {
			return err
		}
		if _, _, err := t.call("close", fd); err != nil {
			return err
		}
		got = fmt.Sprintf("F_SEAL_EXEC %v", seals&sys.SealExec != 0)
	}
	control, shown := tmpfsSeals()
	return k.say(MemfdNoExec, "memfd_create(0), fcntl(F_GET_SEALS)", got, "F_SEAL_EXEC true", control, shown)
}

// tmpfsSeals reads the seals of a file that is no memfd, and has not this one.
func tmpfsSeals() (control string, shown bool) {
	f, err := os.CreateTemp("/dev/shm", ".safevma-control-")
	if err != nil {
		return err.Error(), false
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err.Error(), false
	}
	seals, err := sys.Seals(f)
	if err != nil {
		return err.Error(), false
	}
	return fmt.Sprintf("of a file on tmpfs F_SEAL_EXEC %v", seals&sys.SealExec != 0), seals&sys.SealExec == 0
}

const privateAnonymous = sys.MapPrivate | sys.MapAnonymous

// askCode asks for executable memory without a file, which MDWE alone would give.
func (k *keeper) askCode(t *tracee) error {
	s := &k.order.Settings
	if !s.on(CodeCalls) || s.Violation == Kill {
		return nil
	}
	none := ^uint64(0)
	_, errno, err := t.call("mmap", 0, pageSize, sys.ProtRead|sys.ProtExec, privateAnonymous, none, 0)
	if err != nil {
		return err
	}
	at, plain, err := t.call("mmap", 0, pageSize, sys.ProtRead|sys.ProtWrite, privateAnonymous, none, 0)
	if err != nil {
		return err
	}
	if plain == 0 {
		if _, _, err := t.call("munmap", at, pageSize); err != nil {
			return err
		}
	}
	return k.say(CodeCalls, "mmap(PROT_READ|PROT_EXEC, MAP_ANONYMOUS)", result(errno), "EACCES", "mmap(PROT_READ|PROT_WRITE): "+result(plain), plain == 0)
}

const pageSize = 4096

// askWatch asks to map a memfd executable, and not: the one with the order, with which the program begins
// whether or not it may make one, and which is closed then.
func (k *keeper) askWatch(t *tracee) error {
	if !k.order.Settings.on(MemfdWatch) {
		return nil
	}
	_, errno, err := t.call("mmap", 0, pageSize, sys.ProtRead|sys.ProtExec, sys.MapPrivate, k.probe, 0)
	if err != nil {
		return err
	}
	at, plain, err := t.call("mmap", 0, pageSize, sys.ProtRead, sys.MapPrivate, k.probe, 0)
	if err != nil {
		return err
	}
	if plain == 0 {
		if _, _, err := t.call("munmap", at, pageSize); err != nil {
			return err
		}
	}
	if _, e, err := t.call("close", k.probe); err != nil || e != 0 {
		return fmt.Errorf("close the memfd that was tried: %w", errors.Join(err, asError(e)))
	}
	return k.say(MemfdWatch, "mmap(PROT_READ|PROT_EXEC) of a memfd", result(errno), "EACCES", "mmap(PROT_READ): "+result(plain), plain == 0)
}

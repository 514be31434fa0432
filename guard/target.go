package guard

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// target confines the main thread, and executes the program. What comes first is what later steps
// would forbid. It returns only if that fails.
func target(w *wire, file, pass *os.File, o *order) error {
	s := &o.Settings
	for _, n := range o.Ignored {
		signal.Ignore(syscall.Signal(n))
	}
	apply := func(r Rule, detail string, fn func() error) {
		if o.applies(r) {
			w.step(r, detail, fn())
		}
	}
	apply(NUMA, fmt.Sprint(s.Nodes), func() error { return sys.BindMemory(nodeMask(s.Nodes)) })
	apply(NoHugePages, "", func() error { return prctl("PR_SET_THP_DISABLE", sys.PrSetTHPDisable, 1) })
	apply(NoMerge, "", unmerged)
	apply(NoDump, "RLIMIT_CORE 1", sys.NoCore)
	apply(MDWE, "", func() error { return prctl("PR_SET_MDWE", sys.PrSetMDWE, sys.MDWERefuseExecGain) })
	apply(NoPrivileges, kept(o.Keep), func() error { return sys.KeepCapabilities(o.Keep...) })
	if o.applies(NoPrivileges) || s.filtered() && os.Geteuid() != 0 {
		if err := sys.NoNewPrivileges(); err != nil {
			return err
		}
	}
	if s.filtered() {
		if err := confine(w, pass, o); err != nil {
			return err
		}
	}
	apply(AddressSpace, fmt.Sprint(s.AddressSpace), func() error {
		return os.NewSyscallError("setrlimit(AS)", sys.SetLimit(sys.LimitAS, uint64(s.AddressSpace)))
	})
	if s.on(MemfdWatch) && traceable { // the program is made to try it on this memfd, and to close it
		if err := sys.KeepOnExec(file); err != nil {
			return err
		}
	}
	err := syscall.Exec(o.Path, o.Args, forProcess(o.Env, os.Getpid()))
	return fmt.Errorf("execute %s: %w", o.Path, err)
}

// confine loads the filter. From then on this process is under it too.
func confine(w *wire, pass *os.File, o *order) error {
	s := o.Settings.without(o.Skip)
	watch := s.on(MemfdWatch)
	listener, err := sys.LoadFilter(filterFor(&s, watch).program(), watch)
	if watch && err == nil {
		err = errors.Join(sys.SendDescriptor(pass, listener), listener.Close())
	}
	for _, r := range []Rule{CodeCalls, NoNamespaces, NoAttach, NoURing, KeepResident, MemfdWatch} {
		if s.on(r) {
			w.step(r, "seccomp", err)
		}
	}
	return err
}

// unmerged has no page of the process merged. A kernel that does not know of whole processes (before Linux
// 6.4) merges only what is asked for by madvise(2), which the filter refuses.
func unmerged() error {
	err := prctl("PR_SET_MEMORY_MERGE", sys.PrSetMemoryMerge, 0)
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

func prctl(name string, option int, args ...uintptr) error {
	_, err := sys.Prctl(option, args...)
	return os.NewSyscallError("prctl("+name+")", err)
}

func nodeMask(nodes []int) (mask uint64) {
	for _, n := range nodes {
		mask |= 1 << n
	}
	return mask
}

func kept(capabilities []int) string {
	if len(capabilities) == 0 {
		return "none is kept"
	}
	return fmt.Sprintf("but those of the numbers %v (linux/capability.h)", capabilities)
}

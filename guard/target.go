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
func target(w *wire, o *order) error {
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
	apply(NoMerge, "", func() error { return prctl("PR_SET_MEMORY_MERGE", sys.PrSetMemoryMerge, 0) })
	apply(NoDump, "RLIMIT_CORE 0", func() error { return os.NewSyscallError("setrlimit(CORE)", sys.SetLimit(sys.LimitCore, 0)) })
	apply(MDWE, "", func() error { return prctl("PR_SET_MDWE", sys.PrSetMDWE, sys.MDWERefuseExecGain) })
	apply(NoPrivileges, kept(o.Keep), func() error { return sys.KeepCapabilities(o.Keep...) })
	if o.applies(NoPrivileges) || s.filtered() && os.Geteuid() != 0 {
		if err := sys.NoNewPrivileges(); err != nil {
			return err
		}
	}
	if s.filtered() {
		if err := confine(w, o); err != nil {
			return err
		}
	}
	apply(AddressSpace, fmt.Sprint(s.AddressSpace), func() error {
		return os.NewSyscallError("setrlimit(AS)", sys.SetLimit(sys.LimitAS, uint64(s.AddressSpace)))
	})
	err := syscall.Exec(o.Path, o.Args, o.Env)
	return fmt.Errorf("execute %s: %w", o.Path, err)
}

// confine loads the filter. From then on this process is under it too.
func confine(w *wire, o *order) error {
	s := o.Settings.without(o.Skip)
	pass := os.NewFile(passFD, "pass")
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

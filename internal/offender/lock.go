package offender

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// lockedNotResident locks a range with a hole that can hold no page. mlock fails at
// the hole with ENOMEM, but it has marked the whole range as locked before, and what
// lies behind the hole stays marked and absent: a program that ignores the error
// believes in a lock that is not there, and one that reads the flag does, too.
func lockedNotResident(r *run) error {
	b, err := r.anonymous(4, protRW)
	if err != nil {
		return err
	}
	hole, tail := b[pageSize:2*pageSize], b[2*pageSize:]
	if err := sys.Mprotect(hole, sys.ProtNone); err != nil {
		return err
	}
	lockErr := sys.Mlock(b)
	if lockErr == nil {
		return cannot("make mlock fail", errors.New("the kernel locked a range with an inaccessible hole"))
	}
	r.show(tail)
	flags, err := ownVmFlags(r.report.Start)
	if err != nil {
		return err
	}
	if !slices.Contains(flags, "lo") {
		return cannot("mlock without a rest that is marked as locked", lockErr)
	}
	r.note("mlock: %v", lockErr)
	return nil
}

func locked(r *run) error {
	b, err := r.anonymous(4, protRW)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return cannot("mlock", sys.Mlock(b))
}

// lockedGuards locks the inside of a range that has inaccessible guards, and the
// guards too: they are marked as locked, hold no page, and are no finding.
func lockedGuards(r *run) error {
	b, err := r.anonymous(6, protRW)
	if err != nil {
		return err
	}
	inside, guards := b[pageSize:5*pageSize], [][]byte{b[:pageSize], b[5*pageSize:]}
	for _, guard := range guards {
		if err := sys.Mprotect(guard, sys.ProtNone); err != nil {
			return err
		}
	}
	touch(inside)
	r.show(inside)
	if err := cannot("mlock", sys.Mlock(inside)); err != nil {
		return err
	}
	for _, guard := range guards {
		if err := sys.Mlock(guard); err != nil && !errors.Is(err, syscall.ENOMEM) {
			return cannot("mlock of a guard", err)
		}
		r.also("guard", guard)
	}
	return nil
}

// lockedShared locks memory that a second process maps and locks, too. All of it is
// present, but the kernel's Locked is divided by the number of mappings, as Pss is.
func lockedShared(r *run) error {
	f, err := r.memfd(sys.MfdNoexecSeal, sharedPages)
	if err != nil {
		return err
	}
	if err := r.holdShared(f, sharedPages); err != nil {
		return err
	}
	if err := cannot("mlock", sys.Mlock(r.mapped[0])); err != nil {
		return err
	}
	_, err = r.child([]*os.File{f}, "helper-map-shared", "lock")
	return err
}

func lockedOnFault(touched bool) func(*run) error {
	return func(r *run) error {
		b, err := r.anonymous(4, protRW)
		if err != nil {
			return err
		}
		r.show(b)
		if err := cannot("mlock2(MLOCK_ONFAULT)", sys.Mlock2(b, sys.MlockOnFault)); err != nil {
			return err
		}
		if touched {
			touch(b)
		}
		return nil
	}
}

func notLocked(r *run) error {
	b, err := r.anonymous(4, protRW)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return nil
}

// lockedAll locks the whole address space. What Go only reserves is inaccessible: it
// is marked as locked and holds no page. The kernel's own mappings ([vvar], [vdso],
// [vsyscall]) are never marked and never leave memory.
func lockedAll(r *run) error {
	if err := notLocked(r); err != nil {
		return err
	}
	return cannot("mlockall", syscall.Mlockall(syscall.MCL_CURRENT|syscall.MCL_FUTURE))
}

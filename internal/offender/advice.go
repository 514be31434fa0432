package offender

import (
	"errors"
	"fmt"
	"slices"

	"github.com/safevma/safevma/internal/sys"
)

const noAdvice = -1

func plainAnonymous(r *run) error { return notLocked(r) }

func droppable(r *run) error {
	b, err := r.keep(2, protRW, sys.MapDroppable|sys.MapAnonymous, nil)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return r.needFlag("dp")
}

func mergeable(r *run) error {
	b, err := r.anonymous(2, protRW)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	if err := sys.Madvise(b, sys.MadvMergeable); err != nil {
		return cannot("madvise(MADV_MERGEABLE)", err)
	}
	return r.needFlag("mg")
}

// advisedFile maps a file and gives the advice, which shows as flag.
func advisedFile(advice int, flag string) func(*run) error {
	return func(r *run) error {
		b, err := r.mapFile("data", 4, sys.ProtRead, sys.MapPrivate)
		if err != nil {
			return err
		}
		r.show(b)
		if advice == noAdvice {
			return nil
		}
		if err := sys.Madvise(b, advice); err != nil {
			return err
		}
		return r.needFlag(flag)
	}
}

// needFlag makes sure that the kernel shows the violation. Some flags are accepted
// and ignored by kernels, or by programs that stand in for one.
func (r *run) needFlag(flag string) error {
	flags, err := ownVmFlags(r.report.Start)
	if err != nil {
		return cannot("read the own VmFlags", err)
	}
	if !slices.Contains(flags, flag) {
		return cannot("make the mapping", errors.New(fmt.Sprint("VmFlags has no ", flag, " but ", flags)))
	}
	return nil
}

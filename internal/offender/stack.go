package offender

import (
	"fmt"

	"github.com/safevma/safevma/internal/sys"
)

// growingStack maps memory that grows downwards, as threads of old and the main
// thread have it.
func growingStack(prot int) func(*run) error {
	return func(r *run) error {
		b, err := r.keep(4, prot, sys.MapPrivate|sys.MapAnonymous|sys.MapGrowsdown|sys.MapStack, nil)
		if err != nil {
			return err
		}
		touch(b)
		r.show(b)
		return r.needFlag("gd")
	}
}

func mainStack(executable bool) func(*run) error {
	return func(r *run) (err error) {
		r.report.Start, r.report.End, err = ownStack()
		if err != nil {
			return fmt.Errorf("main stack: %w", err)
		}
		if !executable {
			return nil
		}
		return cannot("mprotect of the main stack", sys.MprotectRange(uint64(r.report.Start), uint64(r.report.End), protRWX))
	}
}

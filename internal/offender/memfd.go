package offender

import (
	"fmt"
	"os"

	"github.com/safevma/safevma/internal/sys"
)

func memfdHeld(flags int) func(*run) error {
	return func(r *run) error {
		_, err := r.memfd(flags, 1)
		return err
	}
}

// memfdExec holds a memfd that must be executable: with vm.memfd_noexec the kernel
// takes that away and says nothing.
func memfdExec(flags int) func(*run) error {
	return func(r *run) error {
		f, err := r.memfd(flags, 1)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode()&0o111 == 0 {
			return cannot("memfd_create", fmt.Errorf("the kernel made it with mode %v (vm.memfd_noexec)", info.Mode()))
		}
		r.note("mode %#o", info.Mode().Perm())
		return nil
	}
}

// memfdChmod corrects an executable memfd after the fact.
func memfdChmod(r *run) error {
	f, err := r.memfd(sys.MfdAllowSealing, 1)
	if err != nil {
		return err
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return cannot("seal the mode", sys.AddSeals(f, sys.SealExec))
}

func memfdNoexecMapped(prot int) func(*run) error {
	return func(r *run) error {
		f, err := r.memfd(sys.MfdNoexecSeal, 2)
		if err != nil {
			return err
		}
		b, err := r.keep(2, prot, sys.MapPrivate, f)
		if err != nil {
			return err
		}
		r.show(b)
		return nil
	}
}

func secretHolder(r *run) error {
	f, err := sys.MemfdSecret()
	if err != nil {
		return cannot("memfd_secret", err)
	}
	r.onEnd(func() { f.Close() })
	r.report.FD = int(f.Fd())
	if err := f.Truncate(int64(pageSize)); err != nil {
		return err
	}
	return r.holdShared(f, 1)
}

// memfdMapped holds one page of an ordinary memfd.
func memfdMapped(r *run) error {
	f, err := r.memfd(sys.MfdNoexecSeal, 1)
	if err != nil {
		return err
	}
	return r.holdShared(f, 1)
}

// holdShared maps f shared and writable, and touches it.
func (r *run) holdShared(f *os.File, pages int) error {
	b, err := r.keep(pages, protRW, sys.MapShared, f)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return nil
}

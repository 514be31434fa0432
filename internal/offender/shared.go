package offender

import (
	"os"
	"slices"

	"github.com/safevma/safevma/internal/sys"
)

const sharedPages = 4

// sharedMemory maps a memfd here and in a second process, or one in each.
func sharedMemory(same bool) func(*run) error {
	return func(r *run) error {
		f, err := r.memfd(sys.MfdNoexecSeal, sharedPages)
		if err != nil {
			return err
		}
		if err := r.holdShared(f, sharedPages); err != nil {
			return err
		}
		theirs := f
		if !same {
			mine := r.report.FD
			if theirs, err = r.memfd(sys.MfdNoexecSeal, sharedPages); err != nil {
				return err
			}
			r.report.FD = mine
		}
		_, err = r.child([]*os.File{theirs}, "helper-map-shared")
		return err
	}
}

// helperMapShared maps the memfd that is descriptor 3, touches it, and locks it if
// asked.
func helperMapShared(r *run) error {
	f := os.NewFile(3, "memfd")
	defer f.Close()
	b, err := r.keep(sharedPages, protRW, sys.MapShared, f)
	if err != nil {
		return err
	}
	touch(b)
	r.also("the second process's view", b)
	if slices.Contains(r.args, "lock") {
		return cannot("mlock", sys.Mlock(b))
	}
	return nil
}

// How [sharedCoW] forks.
type forkMode int

const (
	forkNot forkMode = iota
	forkPlain
	forkWithout // the memory in question is kept from the child
)

// sharedCoW touches private memory and forks. Parent and child hold the same pages
// until one of them writes.
func sharedCoW(mode forkMode) func(*run) error {
	return func(r *run) error {
		b, err := r.anonymous(sharedPages, protRW)
		if err != nil {
			return err
		}
		touch(b)
		r.show(b)
		if mode == forkNot {
			return nil
		}
		if mode == forkWithout {
			if err := sys.Madvise(b, sys.MadvDontfork); err != nil {
				return err
			}
		}
		_, err = r.fork()
		return err
	}
}

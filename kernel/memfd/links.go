package memfd

import (
	"errors"
	"fmt"
	"os"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Executing reports whether the program that the process runs is a memfd, and which.
// It fails with [process.ErrDenied] without PTRACE_MODE_READ of the process, with
// [process.ErrGone] where that has ended, and with [ErrDoubtful] where the program may be
// of a kind that could not be learned. Kernel threads run no program.
func Executing(p *process.Process, dev Devices) (Attributes, bool, error) {
	name := "exe"
	path, err := p.Readlink(name)
	if errors.Is(err, process.ErrGone) {
		dir, ok := alive(p)
		if ok && dir == "" {
			return Attributes{}, false, nil // a kernel thread
		}
		if ok { // the first thread has ended, others live
			name = dir + name
			path, err = p.Readlink(name)
		}
	}
	if err != nil || !candidate(path) {
		return Attributes{}, false, err
	}
	return follow(p, name, &dev)
}

// Mapped describes the memfd or secret memory that the process maps at [start, end),
// which must be the bounds of one VMA; ok is false where something else is mapped there.
// It is the only way to the attributes of a file that nobody holds open any more, and
// takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE in the first user namespace
// ([process.ErrDenied]). [process.ErrGone] says that the VMA or the process is gone,
// [ErrDoubtful] that the file may be of a kind that could not be learned.
func Mapped(p *process.Process, dev Devices, start, end uint64) (a Attributes, ok bool, err error) {
	return follow(p, fmt.Sprintf("map_files/%x-%x", start, end), &dev)
}

// follow describes the file that a link of a process leads to.
func follow(p *process.Process, name string, dev *Devices) (Attributes, bool, error) {
	f, err := openProcessLink(p, name)
	if err != nil {
		return Attributes{}, false, p.Wrap(name, err)
	}
	defer f.Close()
	a, ok, err := describe(f, dev)
	if err != nil {
		return a, false, fmt.Errorf("%s: %w", p.Path(name), err)
	}
	return a, ok, nil
}

func openProcessLink(p *process.Process, name string) (*os.File, error) {
	dir, err := p.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return sys.OpenAt(int(dir.Fd()), name, sys.OPath)
}

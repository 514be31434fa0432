package offender

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// execMemfd replaces this process's image by a copy of it in a memfd. The new image
// has no descriptor of it: its text mapping and /proc/PID/exe hold it.
func execMemfd(r *run) error {
	if r.stage == stageMain {
		return r.showText()
	}
	f, err := sys.MemfdCreate("offender", sys.MfdExec)
	if errors.Is(err, syscall.EINVAL) {
		f, err = sys.MemfdCreate("offender", 0) // before Linux 6.3 there was no other kind
	}
	if err != nil {
		return cannot("memfd_create", err)
	}
	defer f.Close()
	if err := copyOfSelf(f); err != nil {
		return err
	}
	return r.exec("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), stageMain)
}

// execFile replaces this process's image by a copy of it in a file of the given
// name, which it then unlinks or not.
func execFile(name string, unlink bool) func(*run) error {
	return func(r *run) error {
		if r.stage == stageMain {
			if unlink {
				if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
					return err
				}
			}
			return r.showText()
		}
		path, err := r.ownCopy(name)
		if err != nil {
			return err
		}
		return r.exec(path, stageMain)
	}
}

func (r *run) showText() (err error) {
	r.report.Start, r.report.End, err = ownText()
	return err
}

// execMapping maps a file as a loader maps a library's text, and then unlinks it or
// not.
func execMapping(name string, unlink bool) func(*run) error {
	return func(r *run) error {
		b, err := r.mapFile(name, 2, protRX, sys.MapPrivate)
		if err != nil {
			return err
		}
		r.show(b)
		if unlink {
			return os.Remove(filepath.Join(r.dir, name))
		}
		return nil
	}
}

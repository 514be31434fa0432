package offender

import (
	"os"
	"path/filepath"

	"github.com/safevma/safevma/internal/sys"
)

func wx(r *run) error {
	b, err := r.anonymous(2, protRWX)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return nil
}

func wxTwin(r *run) error {
	b, err := r.anonymous(2, protRW)
	if err != nil {
		return err
	}
	touch(b)
	r.show(b)
	return cannot("mprotect", sys.Mprotect(b, protRX))
}

func wxFile(prot int) func(*run) error {
	return func(r *run) error {
		b, err := r.mapFile("wx-file", 2, prot, sys.MapPrivate)
		if err != nil {
			return err
		}
		r.show(b)
		return nil
	}
}

// dualMap maps one memfd twice. The seal against execution is set: it does not
// forbid the mapping.
func dualMap(r *run) error {
	f, err := r.memfd(sys.MfdNoexecSeal, 2)
	if err != nil {
		return err
	}
	w, err := r.keep(2, protRW, sys.MapShared, f)
	if err != nil {
		return err
	}
	touch(w)
	x, err := r.keep(2, protRX, sys.MapShared, f)
	if err != nil {
		return err
	}
	r.show(x)
	r.also("writable view", w)
	return nil
}

func dualMapTwin(r *run) error {
	f, err := r.memfd(sys.MfdNoexecSeal, 2)
	if err != nil {
		return err
	}
	w, err := r.keep(2, protRW, sys.MapShared, f)
	if err != nil {
		return err
	}
	touch(w)
	x, err := r.mapFile("other-file", 2, protRX, sys.MapPrivate)
	if err != nil {
		return err
	}
	r.show(x)
	r.also("writable mapping of another file", w)
	return nil
}

// dualMapProcesses maps a file shared and writable, and has a second process map the
// same file, or another one, executable.
func dualMapProcesses(same bool) func(*run) error {
	return func(r *run) error {
		w, err := r.mapFile("written", 2, protRW, sys.MapShared)
		if err != nil {
			return err
		}
		r.show(w)
		path := filepath.Join(r.dir, "written")
		if !same {
			f, err := r.file("executed", 2)
			if err != nil {
				return err
			}
			path = f.Name()
		}
		_, err = r.child(nil, "helper-map-file", path)
		return err
	}
}

// helperMapFile maps the file args[0] executable.
func helperMapFile(r *run) error {
	f, err := os.Open(r.args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := r.keep(2, protRX, sys.MapPrivate, f)
	if err != nil {
		return err
	}
	r.also("executable view", b)
	return nil
}

// also reports a further mapping of this process.
func (r *run) also(what string, b []byte) {
	start, end := bounds(b)
	r.report.Ranges = append(r.report.Ranges, Range{PID: r.report.PID, Start: start, End: end, What: what})
}

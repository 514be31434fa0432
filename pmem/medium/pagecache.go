package medium

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/safevma/safevma/internal/sys"
)

// writeThrough puts parts one after the other, and waits until they are on the device.
func (m *Medium) writeThrough(off, n int64, parts [][]byte) error {
	if !m.ranged {
		at := off
		for _, p := range parts {
			m.put(at, p)
			at += int64(len(p))
		}
		return m.synced("write", off, n, &m.sync, func() error { return m.msync(off, n) })
	}
	return m.synced("write", off, n, &m.append, func() error {
		return writeAll(func(parts [][]byte, off int64) (int, error) { return sys.PwriteDsync(m.log, parts, off) }, off, parts)
	})
}

// maxParts is how many parts one system call takes (IOV_MAX).
const maxParts = 1024

// writeAll goes on after a short write, as long as there is progress. More parts than a call
// takes become one, so that they still cost one sync.
func writeAll(write func(parts [][]byte, off int64) (int, error), off int64, parts [][]byte) error {
	if len(parts) > maxParts {
		parts = [][]byte{bytes.Join(parts, nil)}
	}
	for parts = rest(parts, 0); len(parts) > 0; {
		n, err := write(parts, off)
		if err != nil {
			return err
		}
		if n <= 0 {
			return ErrShort
		}
		off, parts = off+int64(n), rest(parts, n)
	}
	return nil
}

// rest is what is left of parts after their first n bytes. It does not change them.
func rest(parts [][]byte, n int) [][]byte {
	for len(parts) > 0 && n >= len(parts[0]) {
		n, parts = n-len(parts[0]), parts[1:]
	}
	if n == 0 {
		return parts
	}
	return append([][]byte{parts[0][n:]}, parts[1:]...)
}

// msync waits until the pages of a range are on the device.
func (m *Medium) msync(off, n int64) error {
	page := int64(os.Getpagesize())
	from, to := off&^(page-1), min((off+n+page-1)&^(page-1), int64(len(m.alias)))
	return sys.Msync(m.alias[from:to])
}

func (m *Medium) syncRange(off, n int64) error {
	return m.synced("persist", off, n, &m.sync, func() error { return m.msync(off, n) })
}

func (m *Medium) syncData() error {
	return m.synced("persist", 0, m.size.Load(), &m.sync, func() error { return sys.Fdatasync(m.file) })
}

// errEarlier is what a sync says after one that failed.
var errEarlier = errors.New("an earlier sync of this medium failed, and its loss can't be told from what came later")

// description guards the syncs of one open file description. The kernel reports a write-back
// that failed once to each of them: a sync beside the one that gets the report would return
// success for bytes that are lost. So one runs at a time, none succeeds after one failed, and
// what appends has a description of its own.
type description struct{ turn chan struct{} }

func newDescription() description { return description{make(chan struct{}, 1)} }

// synced runs a sync.
func (m *Medium) synced(op string, off, n int64, d *description, sync func() error) error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	err := errEarlier
	if !m.failed.Load() {
		err = sync()
	}
	if err == nil {
		return nil
	}
	m.failed.Store(true)
	return fail(op, off, n, fmt.Errorf("%w: %w", ErrSync, err))
}

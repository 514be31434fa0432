package survival

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/fsck"
	"github.com/safevma/safevma/pmem/medium"
)

func inVolatile(t *testing.T, size int64) *pmem.Pool {
	t.Helper()
	m, err := medium.NewVolatile(size, size)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pmem.CreateOn(m, pmem.Options{LogSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// The workload by itself, with nobody killed: what has to hold does, all the time. A small pool is
// full most of the time.
func TestWorkload(t *testing.T) {
	long := time.Second
	if os.Getenv("SAFEVMA_NIGHTLY") != "" {
		long = time.Minute
	}
	for _, size := range []int64{Size, 1 << 20} {
		t.Run(fmt.Sprintf("%d KiB", size>>10), func(t *testing.T) { testWorkload(t, inVolatile(t, size), long) })
	}
}

func testWorkload(t *testing.T, p *pmem.Pool, long time.Duration) {
	var progress Progress
	r, out := io.Pipe()
	w, err := newWork(t.Context(), p, Config{Seed: rand.Uint64()}, out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	go func() { out.CloseWithError(w.run(ctx)) }()
	if err := progress.Read(r, func() {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	report, err := Check(t.Context(), p, &progress, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", report)
}

// The control: each thing that the checker looks at, broken, is found.
func TestCheckCanFail(t *testing.T) {
	p := inVolatile(t, Size)
	w, err := newWork(t.Context(), p, Config{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	l := &w.ledger
	mutable := label{Seed: 5, Size: 1000}
	if err := p.Update(t.Context(), func(tx *pmem.Tx) error {
		s := shelf{Length: 1, Sum: 7, Labels: [blobs]label{mutable}}
		var err, err2 error
		s.Head, err = pmem.Alloc(tx, cell{Value: 7})
		s.Blobs[0], err2 = allocBlob(tx, mutable)
		return errors.Join(err, err2, pmem.Set(tx, l.Shelves[1], s), l.raise(tx, 2, 1))
	}); err != nil {
		t.Fatal(err)
	}
	onShelf := func(fn func(s *shelf)) func(tx *pmem.Tx) error {
		return func(tx *pmem.Tx) error {
			s, err := pmem.Get(tx, l.Shelves[1])
			fn(&s)
			return errors.Join(err, pmem.Set(tx, l.Shelves[1], s))
		}
	}
	one := Progress{Started: [Workers]uint64{2: 1}, Acknowledged: [Workers]uint64{2: 1}}
	for _, tt := range []struct {
		name, want string
		progress   Progress
		damage     func(tx *pmem.Tx) error
	}{
		{"nothing", "", one, func(*pmem.Tx) error { return nil }},
		{"not acknowledged", "", Progress{Started: one.Started}, func(*pmem.Tx) error { return nil }},
		{"acknowledged and not there", "worker 3 acknowledged transaction 1, and 0 are there",
			Progress{Started: [Workers]uint64{2: 1, 3: 1}, Acknowledged: [Workers]uint64{3: 1}}, func(*pmem.Tx) error { return nil }},
		{"there and not started", "worker 2 started transaction 0, and 1 are there", Progress{}, func(*pmem.Tx) error { return nil }},
		{"money", "the money", one, func(tx *pmem.Tx) error { return pmem.Set(tx, l.Accounts[3], account{deposit + 1}) }},
		{"length", "the list has", one, onShelf(func(s *shelf) { s.Length++ })},
		{"sum", "the list has", one, onShelf(func(s *shelf) { s.Sum++ })},
		{"list", "the list has", one, onShelf(func(s *shelf) { s.Head = pmem.Ref[cell]{} })},
		{"size of a blob", "a blob has 1000 bytes", one, onShelf(func(s *shelf) { s.Labels[0].Size++ })},
		{"changes of a blob", "were changed 0 times", one, onShelf(func(s *shelf) { s.Labels[0].Changes++ })},
		{"blob of another", "cell 0 of the blob", one, onShelf(func(s *shelf) { s.Labels[0].Seed++ })},
		{"cell", "cell 2 of the blob", one, func(tx *pmem.Tx) error {
			s, err := pmem.Get(tx, l.Shelves[1])
			return errors.Join(err, pmem.SetBytes(tx, s.Blobs[0], 2*cellSize+3, []byte{1}))
		}},
		{"rest", "byte 999 of the blob", one, func(tx *pmem.Tx) error {
			s, err := pmem.Get(tx, l.Shelves[1])
			return errors.Join(err, pmem.SetBytes(tx, s.Blobs[0], 999, []byte{1}))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := p.Update(t.Context(), func(tx *pmem.Tx) error {
				// The checker sees it, and nobody else.
				if err := tt.damage(tx); err != nil {
					t.Fatal(err)
				}
				_, err := check(tx, &tt.progress, true)
				return errors.Join(errAbort, err)
			})
			if found := err.Error() != errAbort.Error(); found != (tt.want != "") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("found %v, want %q", err, tt.want)
			}
		})
	}
}

// What no root reaches is found by the checker of pools.
func TestLeakIsFound(t *testing.T) {
	p := inVolatile(t, Size)
	if _, err := newWork(t.Context(), p, Config{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), p, &Progress{}, true); err != nil {
		t.Fatal(err)
	}
	if err := p.Update(t.Context(), func(tx *pmem.Tx) error { _, err := pmem.AllocBytes(tx, nil); return err }); err != nil {
		t.Fatal(err)
	}
	var unclean *fsck.UncleanError
	if _, err := Check(t.Context(), p, &Progress{}, true); !errors.As(err, &unclean) {
		t.Errorf("a leak: %v", err)
	}
}

package pmem

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// After a failed sync nothing goes to the log any more, nor into place: not what a transaction needs
// besides itself, the class of a span or a type, and not who waited for the turn meanwhile.
func TestNothingAfterAFailure(t *testing.T) {
	var lock sync.Mutex
	failing, failed, after := false, false, 0
	begun := make(chan struct{})
	event := func(e medium.Event) error {
		lock.Lock()
		defer lock.Unlock()
		if failed && len(e.Data) > 0 && (e.Class == medium.Log || e.Class == medium.Apply || e.Class == medium.Superblock) {
			after++
		}
		if !failing || failed || e.Class != medium.Log {
			return nil
		}
		failed = true
		close(begun)
		time.Sleep(30 * time.Millisecond) // others queue
		return syscall.EIO
	}
	p, err := openSlow(make([]byte, 40*8192), &injector{event: event}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var refs [4]Ref[node]
	update(t, p, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	})
	failing = true
	var all sync.WaitGroup
	for i, r := range refs {
		all.Go(func() {
			want := ErrPoisoned
			if i == 0 {
				want = ErrOutcomeUnknown
			} else {
				<-begun
			}
			if err := increment(p, r); !errors.Is(err, want) {
				t.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for name, fn := range map[string]func(tx *Tx) error{
		"a small object": func(tx *Tx) error { _, err := Alloc(tx, node{}); return err },
		"a new class":    func(tx *Tx) error { _, err := AllocBytes(tx, make([]byte, 700)); return err },
		"a big object":   func(tx *Tx) error { _, err := AllocBytes(tx, make([]byte, 30_000)); return err },
		"a new type":     func(tx *Tx) error { _, err := Alloc(tx, likeNode{}); return err },
	} {
		if err := p.Update(ctx, fn); !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Checkpoint(ctx); !errors.Is(err, ErrPoisoned) {
		t.Errorf("a checkpoint: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if after > 0 {
		t.Errorf("%d stores to the log, into place or to the superblocks after the failure", after)
	}
}

// Whatever step of a commit or of a checkpoint fails, the pool takes no changes from then on, and
// shows what it had: a sync that failed may have lost what it covered for ever.
func TestEachFailureStops(t *testing.T) {
	for _, kind := range []medium.Kind{medium.DAX, medium.PageCache} {
		for _, what := range []string{"commits", "a checkpoint", "objects past the log"} {
			n := 1
			for ; failureStops(t, kind, what, n) && !t.Failed(); n++ {
			}
			if n < 4 {
				t.Errorf("%v, %s: %d events", kind, what, n-1)
			}
			t.Logf("%v, %s: %d events", kind, what, n-1)
		}
	}
}

// failureStops lets event n fail, and reports whether there was one.
func failureStops(t *testing.T, kind medium.Kind, what string, n int) (failed bool) {
	t.Helper()
	armed := false
	in := &injector{event: func(e medium.Event) error {
		if !armed || failed || e.Class == medium.Direct || e.Action == medium.Allocate { // those change nothing that counts
			return nil
		}
		if n--; n > 0 {
			return nil
		}
		failed = true
		return syscall.EIO
	}}
	m, err := medium.Record(make([]byte, exploredSize), medium.Emulation{Kind: kind}, in)
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(m, exploredOptions)
	if err != nil {
		t.Fatal(err)
	}
	var r Ref[node]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{}); return err })
	acked := uint64(0)
	armed = true
	switch what {
	case "commits": // more than the log takes
		for acked < 30 && err == nil {
			if err = increment(p, r); err == nil {
				acked++
			}
		}
	case "a checkpoint":
		err = p.Checkpoint(ctx)
	default: // in a slot of a new class, which another one gets, and in spans of its own
		for _, size := range []int{100, 300, 3000} {
			var b Ref[Bytes]
			err = errors.Join(err, p.Update(ctx, func(tx *Tx) (err error) { b, err = AllocBytes(tx, make([]byte, size)); return err }))
			if err == nil {
				err = p.Update(ctx, func(tx *Tx) error { return Free(tx, b) })
			}
		}
	}
	if (err != nil) != failed {
		t.Fatalf("%v, %s: %v, and failed: %v", kind, what, err, failed)
	}
	if !failed {
		return false
	}
	unknown := errors.Is(err, ErrOutcomeUnknown)
	if !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
		t.Errorf("%v, %s, after %d: %v", kind, what, acked, err)
	}
	if v, err := valueOf(p, r); !errors.Is(err, ErrPoisoned) && (err != nil || v != acked && !(unknown && v == acked+1)) {
		t.Errorf("%v, %s: after %d it reads %d, %v", kind, what, acked, v, err)
	}
	for range 2 {
		if err := increment(p, r); !errors.Is(err, ErrPoisoned) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%v, %s, after %d: a change: %v", kind, what, acked, err)
		}
		if err := p.Checkpoint(ctx); !errors.Is(err, ErrPoisoned) {
			t.Errorf("%v, %s, after %d: a checkpoint: %v", kind, what, acked, err)
		}
	}
	return true
}

package pmem

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

var ctx = context.Background()

type account struct {
	Balance int64
	Owner   [48]byte
	Next    Ref[account]
}

func newTestPool(t *testing.T, size int64, o Options) *Pool {
	t.Helper()
	m, err := medium.NewVolatile(size, size)
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func update(t *testing.T, p *Pool, fn func(tx *Tx) error) {
	t.Helper()
	if err := p.Update(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, p *Pool, fn func(tx *Tx) error) {
	t.Helper()
	if err := p.View(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfAnObject(t *testing.T) {
	p := newTestPool(t, 4<<20, Options{})
	var r Ref[account]
	update(t, p, func(tx *Tx) (err error) {
		if r, err = Alloc(tx, account{Balance: 5}); err != nil {
			return err
		}
		return SetRoot(tx, "first", r)
	})
	update(t, p, func(tx *Tx) error {
		a, err := Get(tx, r)
		if err != nil {
			return err
		}
		a.Balance += 2
		if err := Set(tx, r, a); err != nil {
			return err
		}
		if b, err := Get(tx, r); err != nil || b.Balance != 7 {
			t.Errorf("its own write: %d, %v", b.Balance, err)
		}
		return nil
	})
	view(t, p, func(tx *Tx) error {
		found, err := Root[account](tx, "first")
		if err != nil || found != r {
			t.Errorf("the root is %v, %v, want %v", found, err, r)
		}
		a, err := Get(tx, r)
		if a.Balance != 7 {
			t.Errorf("balance %d", a.Balance)
		}
		return err
	})
	update(t, p, func(tx *Tx) error { return errors.Join(Free(tx, r), SetRoot(tx, "first", Ref[account]{})) })
	err := p.View(ctx, func(tx *Tx) error { _, err := Get(tx, r); return err })
	if !errors.Is(err, ErrStale) {
		t.Errorf("after the free: %v", err)
	}
	update(t, p, func(tx *Tx) error {
		again, err := Alloc(tx, account{})
		if again.Offset() != r.Offset() || again == r {
			t.Errorf("again %v, and it was %v", again, r)
		}
		return err
	})
}

func TestBytesOfEachSize(t *testing.T) {
	p := newTestPool(t, 8<<20, Options{})
	for _, n := range []int{0, 1, 7, 8, 255, 256, 257, 1000, 1024, 1025, 5000, 16000, 70000, 300000} {
		data := bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)[:n]
		var r Ref[Bytes]
		update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, data); return err })
		check := func() {
			t.Helper()
			view(t, p, func(tx *Tx) error {
				got, err := AppendBytes(tx, r, nil)
				if !bytes.Equal(got, data) {
					t.Errorf("%d bytes are not what was written", n)
				}
				return err
			})
		}
		check()
		for _, at := range []int{0, n / 2, n - 3} {
			if at < 0 || at+3 > n {
				continue
			}
			copy(data[at:], "new")
			update(t, p, func(tx *Tx) error { return SetBytes(tx, r, int64(at), []byte("new")) })
			check()
		}
		update(t, p, func(tx *Tx) error { return Free(tx, r) })
	}
}

func TestReopen(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pool")
	p, err := Create(name, 4<<20, Options{})
	if err != nil {
		t.Fatal(err)
	}
	update(t, p, func(tx *Tx) error {
		r, err := Alloc(tx, account{Balance: 9})
		return errors.Join(err, SetRoot(tx, "a", r))
	})
	if _, err := Open(name, Options{}); !errors.Is(err, medium.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := p.m.Close(); err != nil { // as a process ends that is killed
		t.Fatal(err)
	}
	if p, err = Open(name, Options{}); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Info().Recovery.Records == 0 {
		t.Error("nothing was replayed")
	}
	view(t, p, func(tx *Tx) error {
		r, err := Root[account](tx, "a")
		if err != nil {
			return err
		}
		a, err := Get(tx, r)
		if a.Balance != 9 {
			t.Errorf("balance %d", a.Balance)
		}
		return err
	})
}

package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// TestTruncated cuts a pool off at each length: it does not open, and says why.
func TestTruncated(t *testing.T) {
	w := newWorld(t)
	step := 8
	if !nightly {
		step = 8 * 13
	}
	for n := 0; n < len(w.image); n += step {
		image := append(make([]byte, 0, n), w.image[:n]...)
		p, err := openImage(image, medium.DAX, new(injector))
		if p != nil || !errors.Is(err, ErrDamage) && (!errors.Is(err, ErrNoPool) || n >= superB+superSize) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// TestAppended adds garbage to the end of a pool: it is not looked at.
func TestAppended(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{8, 4096, 8192, 100000} {
		image := append(bytes.Clone(w.image), bytes.Repeat([]byte{0xa5}, n)...)
		c := new(tally)
		if err := w.try(image, c, true); err != nil || c.right.Load() != 1 {
			t.Errorf("%d bytes more: %v, %v", n, c, err)
		}
		if !bytes.Equal(image[len(w.image):], bytes.Repeat([]byte{0xa5}, n)) {
			t.Errorf("%d bytes more: they were changed", n)
		}
	}
}

// TestTruncatedFile cuts off a file, also where no word ends, and while it is open.
func TestTruncatedFile(t *testing.T) {
	w := newWorld(t)
	name := filepath.Join(t.TempDir(), "pool")
	for _, n := range []int64{0, 1, 7, 255, 256, 4095, 4096, 4351, 4352, 4353, hostileHeap - 1, hostileHeap, hostileSize - 4096, hostileSize - 8, hostileSize - 1} {
		if err := os.WriteFile(name, w.image[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := Open(name, hostileOptions()); err == nil {
			t.Errorf("%d bytes: it opens", n)
			p.Close()
		}
	}
}

// TestCutOffWhileOpen makes the file of an open pool shorter. What is gone is an error, of whatever
// needs it; nothing hangs, and nothing dies of the fault.
func TestCutOffWhileOpen(t *testing.T) {
	w := newWorld(t)
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "safevma-pmem-"); err == nil {
		defer os.RemoveAll(dir)
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		for _, n := range []int64{0, 4096, logOffset, hostileHeap, 40960, hostileSize - 8192} {
			name := filepath.Join(dir, "pool")
			if err := os.WriteFile(name, w.image, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, dax := range []bool{false, true} {
				o := hostileOptions()
				o.Medium.AssumeDAX = dax
				p, err := Open(name, o)
				if err != nil {
					t.Fatal(err)
				}
				update(t, p, func(tx *Tx) error { _, err := AllocBytes(tx, []byte("live")); return err })
				if err := os.Truncate(name, n); err != nil {
					t.Fatal(err)
				}
				if err := cutOff(w, p); err != nil {
					t.Errorf("%v, %d bytes left: %v", p.Info().Medium.Kind, n, err)
				}
				p.Close()
				if err := os.WriteFile(name, w.image, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// cutOff uses a pool whose file became shorter.
func cutOff(w *world, p *Pool) error {
	last := w.last()[1]
	bad := 0
	for _, o := range last.live {
		got, damaged, err := look(p, &o)
		if damaged {
			bad++
			continue
		}
		if err != nil || !bytes.Equal(got, o.want) {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	if bad == 0 {
		return errors.New("everything reads right, and most of the file is gone")
	}
	for i := range 30 {
		err := p.Update(ctx, func(tx *Tx) error { _, err := AllocBytes(tx, pattern(i, 100*i)); return err })
		if err != nil && !honest(err) && !errors.Is(err, ErrFull) && !errors.Is(err, ErrPoisoned) {
			return fmt.Errorf("a change: %w", err)
		}
	}
	if err := p.Checkpoint(ctx); err != nil && !honest(err) && !errors.Is(err, ErrPoisoned) {
		return fmt.Errorf("a checkpoint: %w", err)
	}
	return nil
}

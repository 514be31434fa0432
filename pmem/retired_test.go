package pmem

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// slotOf makes and frees an object of so many bytes some times, and returns the references to it,
// which are to one slot.
func slotOf(t *testing.T, p *Pool, size, times int) (all []Ref[Bytes]) {
	t.Helper()
	for range times {
		var r Ref[Bytes]
		update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, make([]byte, size)); return err })
		update(t, p, func(tx *Tx) error { return Free(tx, r) })
		if all = append(all, r); r.Offset() != all[0].Offset() {
			t.Fatalf("not one slot: %v", all)
		}
	}
	return all
}

// areStale checks that references are to nothing.
func areStale(t *testing.T, p *Pool, all []Ref[Bytes]) {
	t.Helper()
	for i, r := range all {
		err := p.View(ctx, func(tx *Tx) error { _, err := AppendBytes(tx, r, nil); return err })
		if !errors.Is(err, ErrStale) {
			t.Errorf("reference %d, %v, to what was freed: %v", i, r, err)
		}
	}
}

// References to what was freed are stale also when the span has slots of another size, and then is
// part of a big object, and has slots again.
func TestStaleInOtherClasses(t *testing.T) {
	const span = 4096
	p := newTestPool(t, 32768+2*span, Options{LogSize: 1024, LogExtent: 256, SpanSize: span}) // there is one
	var old []Ref[Bytes]
	for i, size := range []int{40, 100, 3000, 200, 1500, 40} {
		all := slotOf(t, p, size, 7)
		old = append(old, all...)
		if old[0].Offset() != all[0].Offset() {
			t.Fatalf("an object of %d bytes is elsewhere", size)
		}
		var r Ref[Bytes]
		update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, make([]byte, size)); return err })
		areStale(t, p, old)
		update(t, p, func(tx *Tx) error { return Free(tx, r) })
		if old = append(old, r); int(r.incarnation()) != len(old) {
			t.Errorf("object %d is %v, of size %d", len(old), r, i)
		}
	}
}

// A slot that has had the last incarnation is not used again: a reference to the first one would be
// right. Nor does its span get slots of another size, or become part of a big object.
func TestRetired(t *testing.T) {
	const span = 8192
	image := make([]byte, 32768+2*span) // one span has objects
	o := Options{LogSize: 1024, LogExtent: 256, SpanSize: span}
	open := func(with func(*medium.Medium, Options) (*Pool, error)) *Pool {
		p, err := with(mustRecord(t, image), o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open(CreateOn)
	r := slotOf(t, p, 40, 1)[0]
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	b := freed(r.Offset(), lastIncarnation-1)
	copy(image[r.Offset():], b[:])
	p = open(OpenOn)
	last := slotOf(t, p, 40, 1)[0]
	if last.Offset() != r.Offset() || last.incarnation() != lastIncarnation {
		t.Fatalf("the last one is %v", last)
	}
	for range 2 { // also when that is read from the medium
		for _, size := range []int{100, 5000, 40, 40} {
			var next Ref[Bytes]
			err := p.Update(ctx, func(tx *Tx) (err error) { next, err = AllocBytes(tx, make([]byte, size)); return err })
			switch {
			case size != 40 && !errors.Is(err, ErrFull):
				t.Errorf("an object of %d bytes, in a span that has a retired slot: %v", size, err)
			case size == 40 && err != nil:
				t.Errorf("the other slots can't be used: %v", err)
			case next.Offset() == r.Offset():
				t.Errorf("an object of %d bytes is at %d, and the slot is retired", size, next.Offset())
			}
			if err == nil {
				update(t, p, func(tx *Tx) error { return Free(tx, next) })
			}
		}
		areStale(t, p, []Ref[Bytes]{r, last})
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = open(OpenOn)
	}
}

// Space that a transaction frees is given to others under the lock of the heap.
func TestSettleTakesTheLock(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var r Ref[node]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{}); return err })
	p.heap.lock.Lock()
	settled := make(chan error, 1)
	go func() { settled <- p.Update(ctx, func(tx *Tx) error { return Free(tx, r) }) }()
	select {
	case err := <-settled:
		t.Errorf("an update has ended that frees, and the heap is locked: %v", err)
		p.heap.lock.Unlock()
		return
	case <-time.After(30 * time.Millisecond):
	}
	p.heap.lock.Unlock()
	if err := <-settled; err != nil {
		t.Error(err)
	}
}

// Space is reserved under the lock of the heap.
func TestReserveTakesTheLock(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	update(t, p, func(tx *Tx) error { _, err := Alloc(tx, node{}); return err }) // the span is there
	p.heap.lock.Lock()
	reserved, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- p.Update(ctx, func(tx *Tx) error {
			_, err := Alloc(tx, node{})
			close(reserved)
			return err
		})
	}()
	select {
	case <-reserved:
		t.Error("space was reserved, and the heap is locked")
	case <-time.After(30 * time.Millisecond):
	}
	p.heap.lock.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A process that is killed while it makes a big object, or gives a span its class, takes no space
// with it.
func TestNoSpaceIsLost(t *testing.T) {
	var images [][]byte
	memory, on := make([]byte, 20*8192), false
	in := &injector{event: func(medium.Event) error {
		if on {
			images = append(images, bytes.Clone(memory))
		}
		return nil
	}}
	p, err := openSlow(memory, in, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	want := capacity(t, bytes.Clone(memory))
	on = true
	for _, size := range []int{20_000, 300, 1800, 8000} {
		update(t, p, func(tx *Tx) error {
			r, err := AllocBytes(tx, bytes.Repeat([]byte{1}, size))
			return errors.Join(err, SetRoot(tx, "only", r))
		})
		update(t, p, func(tx *Tx) error {
			r, err := Root[Bytes](tx, "only")
			return errors.Join(err, Free(tx, r), SetRoot(tx, "only", Ref[Bytes]{}))
		})
	}
	on = false
	for i, image := range images {
		if got := capacity(t, image); got != want {
			t.Fatalf("killed at event %d of %d: %d objects fit, and %d before", i, len(images), got, want)
		}
	}
	t.Logf("%d events, %d objects", len(images), want)
}

// capacity empties a pool, and returns how many objects of a span fit.
func capacity(t *testing.T, image []byte) (n int) {
	t.Helper()
	p, err := openSlow(image, &injector{}, OpenOn)
	if err != nil {
		t.Fatal(err)
	}
	update(t, p, func(tx *Tx) error {
		r, err := Root[Bytes](tx, "only")
		if err != nil || r.IsNil() {
			return err
		}
		return errors.Join(Free(tx, r), SetRoot(tx, "only", Ref[Bytes]{}))
	})
	for ; ; n++ {
		err := p.Update(ctx, func(tx *Tx) error { _, err := AllocBytes(tx, make([]byte, 8000)); return err })
		if errors.Is(err, ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A span that should be empty, and is not, is left alone: its descriptor may have been lost, and
// objects may be in it.
func TestSpansThatAreNotEmpty(t *testing.T) {
	image := make([]byte, 20*8192)
	p, err := openSlow(image, &injector{}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	const spare = 5 // number of the span
	g := p.geometry
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		plant      func(image []byte)
		slots, run bool // it may have some, or be part of a big object
	}{
		"nothing":                          {func([]byte) {}, true, true},
		"a byte in one never used":         {func(image []byte) { image[g.spanOffset(spare)+g.span-1] = 1 }, false, false},
		"a bit of one never used":          {func(image []byte) { image[g.entryOffset(spare)+spanBitmap+9] = 1 }, false, true},
		"a bit of one that has no class":   {func(image []byte) { image[g.entryOffset(spare)+spanBitmap] = 1; use(&g, image, spare) }, false, true},
		"an old byte where nothing is now": {func(image []byte) { image[g.spanOffset(spare)+999] = 1; use(&g, image, spare) }, true, true},
	} {
		for size, want := range map[int]bool{40: one.slots, 1800: one.slots, 5000: one.run} {
			used := bytes.Clone(image)
			one.plant(used)
			p, err := openSlow(used, &injector{}, OpenOn)
			if err != nil {
				t.Fatal(err)
			}
			inside := false
			for err == nil {
				err = p.Update(ctx, func(tx *Tx) error {
					r, err := AllocBytes(tx, make([]byte, size))
					inside = inside || err == nil && g.spanOf(r.Offset()) == spare
					return err
				})
			}
			if !errors.Is(err, ErrFull) {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
			if inside != want {
				t.Errorf("%s: objects of %d bytes are in the span: %v", name, size, inside)
			}
		}
	}
}

// use says of a span that it was used, and has no class now.
func use(g *geometry, image []byte, i int64) {
	copy(image[g.entryOffset(i):], descriptor{used: true, base: 3}.encode(i))
}

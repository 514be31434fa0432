package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// TestFullDevice lets a device become full at each allocation in turn, for once and for good: that
// transaction gets ErrFull, what is there can be read, changed and freed, space that is free in the
// pool is used, and the pool opens again.
func TestFullDevice(t *testing.T) {
	for _, forGood := range []bool{false, true} {
		n := 1
		for failed := true; failed && !t.Failed(); n++ {
			var err error
			if failed, err = fillDevice(n, forGood); err != nil {
				t.Errorf("allocation %d, for good: %v: %v", n, forGood, err)
			}
		}
		t.Log(n-2, "allocations, for good:", forGood)
	}
}

// fillDevice is a run in which the n-th allocation fails.
func fillDevice(n int, forGood bool) (failed bool, err error) {
	image, count := make([]byte, hostileSize), 0
	has := map[int64]bool{} // pages that have their space
	bare := error(nil)
	defer func() { err = errors.Join(err, bare) }()
	full := &injector{event: func(e medium.Event) error {
		lacks := false
		for at := e.Off &^ 4095; at < e.Off+e.Len; at += 4096 {
			lacks = lacks || !has[at/4096]
		}
		if lacks && len(e.Data) > 0 {
			bare = fmt.Errorf("a store to offset %d, which has no space on the device", e.Off)
		}
		if e.Action != medium.Allocate || !lacks {
			return nil
		}
		if count++; count == n || forGood && count > n {
			failed = true
			return syscall.ENOSPC
		}
		for at := e.Off; at < e.Off+e.Len; at += 4096 {
			has[at/4096] = true
		}
		return nil
	}}
	m, err := medium.Record(image, medium.Emulation{Kind: medium.DAX}, full)
	if err != nil {
		return failed, err
	}
	p, err := CreateOn(m, hostileOptions())
	if err != nil {
		if !failed || !errors.Is(err, syscall.ENOSPC) {
			return failed, err
		}
		return failed, nil
	}
	made, err := fillPool(p, &failed)
	if err != nil {
		return failed, err
	}
	if failed {
		if made, err = useFull(p, made); err != nil {
			return failed, err
		}
	}
	for range 2 {
		if err := p.Close(); err != nil {
			return failed, err
		}
		if p, err = openImage(image, medium.DAX, full); err != nil {
			return failed, err
		}
		if _, err := (&contents{live: made}).check(p); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// fillPool makes objects of many sizes, until the pool is full or the device is.
func fillPool(p *Pool, failed *bool) (made []item, err error) {
	for i := range 40 {
		n := []int{10, 200, 1000, 1500, 5000, 20000}[i%6]
		var o item
		err := p.Update(ctx, func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i, n))
			o = bytesItem(fmt.Sprintf("%d: %d bytes", i, n), r, pattern(i, n))
			return err
		})
		switch {
		case err == nil:
			made = append(made, o)
		case !errors.Is(err, ErrFull) || p.broken() != nil:
			return made, fmt.Errorf("alloc of %d bytes: %w", n, err)
		case *failed && !errors.Is(err, syscall.ENOSPC):
			continue // the pool itself may be full too
		}
	}
	return made, nil
}

// useFull changes and frees objects of a pool that can't grow, and makes objects of another size in
// the space of those that were freed.
func useFull(p *Pool, made []item) ([]item, error) {
	var left []item
	room := false // for a big object
	for _, o := range made {
		if o.size == 10 || o.size == 1000 || o.size == 5000 {
			room = room || o.size == 5000
			if err := p.Update(ctx, o.free); err != nil {
				return nil, fmt.Errorf("free of %s: %w", o.name, err)
			}
			continue
		}
		o.want = bytes.Clone(o.want)
		copy(o.want, "changed")
		err := p.Update(ctx, func(tx *Tx) error { return SetBytes(tx, Ref[Bytes]{o.ref}, 0, o.want[:min(7, len(o.want))]) })
		if err != nil {
			return nil, fmt.Errorf("change of %s: %w", o.name, err)
		}
		left = append(left, o)
	}
	if len(made) < 12 {
		return left, nil
	}
	for i, n := range []int{300, 5000} { // none of 300 bytes was there
		if n == 5000 && !room {
			continue
		}
		err := p.Update(ctx, func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i, n))
			left = append(left, bytesItem(fmt.Sprintf("then %d bytes", n), r, pattern(i, n)))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("alloc of %d bytes where others were freed: %w", n, err)
		}
	}
	return left, nil
}

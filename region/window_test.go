package region_test

import (
	"bytes"
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// faults reports whether do faults at an address in b.
func faults(t *testing.T, b []byte, do func()) (faulted bool) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			if at := p.Addr() - address(b); at >= uintptr(len(b)) {
				t.Errorf("a fault at %d bytes from the begin of the %d", at, len(b))
			}
			faulted = true
		default:
			panic(p)
		}
	}()
	do()
	return false
}

// Outside of its windows the memory can't be touched; in a window to read, it can't be written.
func TestWindowed(t *testing.T) {
	for name, options := range map[string][]region.Option{
		"ordinary": {region.Windowed()},
		"resident": {region.Windowed(), region.Resident(), region.Guarded()},
		"secret":   {region.Windowed(), region.Secret()},
		"sealed":   {region.Windowed(), region.Sealed()}, // with protection keys
	} {
		t.Run(name, func(t *testing.T) {
			r := mapped(t, 100, options...)
			var kept []byte
			var sink byte
			if err := r.Write(func(b []byte) error { kept = b; b[0] = 7; return nil }); err != nil {
				t.Fatal(err)
			}
			if !faults(t, kept, func() { sink = kept[0] }) || !faults(t, kept, func() { kept[0] = 1 }) {
				t.Error("it is open outside of a window")
			}
			if err := r.Read(func(b []byte) error {
				sink = b[0]
				if !faults(t, b, func() { b[0] = 1 }) {
					t.Error("it can be written in a window to read")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if !faults(t, kept, func() { sink = kept[0] }) {
				t.Error("it is open after a window to read")
			}
			if sink != 7 {
				t.Errorf("%d, want what was written", sink)
			}
			if w := r.Windows(); w.Reads != 1 || w.Writes != 1 || w.Open < w.Longest || w.Longest <= 0 {
				t.Errorf("%+v", w)
			}
		})
	}
}

// A slice that was kept faults after Close.
func TestStale(t *testing.T) {
	for name, options := range map[string][]region.Option{
		"plain":           nil,
		"guarded":         {region.Guarded(), region.Resident()},
		"secret":          {region.Secret()},
		"sealed":          {region.Sealed()},
		"sealed resident": {region.Sealed(), region.Resident(), region.Guarded(), region.NoDump()},
		"sealed no swap":  {region.Guarded(), region.Sealed(), region.NoSwap()},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "sealed") && noGuardMarks() {
				t.Skip("no guard marks on this kernel: sealed memory can't be taken away")
			}
			r := mapped(t, 5000, options...)
			stale := r.Bytes()
			stale[0] = 1
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			var sink byte
			if !faults(t, stale, func() { sink = stale[0] }) || !faults(t, stale, func() { stale[4999] = 1 }) {
				t.Error("no fault: ", sink)
			}
		})
	}
}

func noGuardMarks() bool {
	page, err := sys.Mmap(4096, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return false
	}
	defer sys.Munmap(page)
	return errors.Is(sys.Madvise(page, sys.MadvGuardInstall), syscall.EINVAL)
}

// One byte too far is a fault where the guard is, on both sides.
func TestOverflow(t *testing.T) {
	for name, options := range map[string][]region.Option{
		"ordinary":    {region.Guarded()},
		"secret":      {region.Guarded(), region.Secret()},
		"big":         {region.Guarded(), region.NoDump()},
		"sealed":      {region.Guarded(), region.Sealed()},
		"read-only":   {region.Guarded(), region.ReadOnlyUntilClose(func([]byte) error { return nil })},
		"resident up": {region.Guarded(), region.Resident(), region.NoFork()},
	} {
		size := 2 * 4096
		if name == "big" {
			size = 2 << 20
		}
		t.Run(name, func(t *testing.T) {
			r := mapped(t, size, options...)
			b := r.Bytes()
			around := beside(b)
			for _, at := range []int{-1, size, -4096, size + 4095} {
				if !faults(t, around, func() { peek(b, at) }) {
					t.Errorf("a read at %d of %d bytes", at, size)
				}
				if !faults(t, around, func() { flip(b, at) }) {
					t.Errorf("a write at %d of %d bytes", at, size)
				}
			}
			peek(b, 0)
			peek(b, size-1)
		})
	}
}

// Writers are alone, readers are not; nobody sees half a write.
func TestConcurrent(t *testing.T) {
	for name, options := range map[string][]region.Option{"ordinary": nil, "windowed": {region.Windowed()}} {
		t.Run(name, func(t *testing.T) {
			r := mapped(t, 64, options...)
			var all sync.WaitGroup
			const each = 300
			for n := range 6 {
				all.Go(func() {
					for range each {
						if err := use(r, n%3 == 0); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			if err := r.Read(func(b []byte) error {
				if b[0] != byte(2*each%256) {
					t.Errorf("%d, want %d", b[0], byte(2*each%256))
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func use(r *region.Region, write bool) error {
	if write {
		return r.Write(func(b []byte) error {
			for i := range b {
				b[i]++
			}
			return nil
		})
	}
	return r.Read(func(b []byte) error {
		if !bytes.Equal(b, bytes.Repeat(b[:1], len(b))) {
			return errors.New("half a write is seen")
		}
		return nil
	})
}

// While somebody writes nobody else is inside, and nobody writes while somebody reads.
func TestExclusion(t *testing.T) {
	r := mapped(t, 64)
	calls := map[string]func(func([]byte) error) error{"read": r.Read, "write": r.Write}
	for outer, first := range calls {
		for inner, second := range calls {
			entered, leave, inside := make(chan bool), make(chan bool), make(chan bool)
			var all sync.WaitGroup
			all.Go(func() { _ = first(func([]byte) error { close(entered); <-leave; return nil }) })
			<-entered
			all.Go(func() { _ = second(func([]byte) error { close(inside); return nil }) })
			together := outer == "read" && inner == "read"
			select {
			case <-inside:
				if !together {
					t.Errorf("%s during %s", inner, outer)
				}
			case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 5 * time.Millisecond}[together]):
				if together {
					t.Errorf("no %s during %s", inner, outer)
				}
			}
			close(leave)
			all.Wait()
		}
	}
}

// Verify and Close keep away from who is inside.
func TestVerifyWaits(t *testing.T) {
	r := mapped(t, 64, region.Windowed(), region.Resident())
	entered, leave := make(chan bool), make(chan bool)
	var all sync.WaitGroup
	all.Go(func() {
		if err := r.Write(func(b []byte) error { close(entered); <-leave; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-entered
	if err := r.Close(); !errors.Is(err, region.ErrConflict) {
		t.Errorf("close while somebody writes: %v", err)
	}
	done := make(chan bool)
	all.Go(func() { holds(t, r); close(done) })
	select {
	case <-done:
		t.Error("verify did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	all.Wait()
}

// A window that can't be closed, or opened, is an error, whatever the function returned; and what was
// not opened is not counted.
func TestWindowFails(t *testing.T) {
	r, err := region.Map(8192, region.Windowed())
	given(t, err)
	failing, own := errors.New("failing"), new(region.Error)
	err = r.Write(func(b []byte) error {
		if err := sys.Mseal(b); err != nil { // so that it stays as it is: open
			t.Skip(err)
		}
		return failing
	})
	if !errors.Is(err, failing) || !errors.As(err, &own) {
		t.Errorf("closing: %v", err)
	}
	before := r.Windows()
	if err := r.Write(func([]byte) error { return nil }); !errors.As(err, &own) {
		t.Errorf("opened: %v", err)
	}
	if after := r.Windows(); after != before {
		t.Errorf("counted %+v, then %+v", before, after)
	}
	_ = r.Close()
}

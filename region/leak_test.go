package region_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/safevma/safevma/region"
)

func mappings(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Ten thousand regions come and go, one in four not made at all, and leave no descriptor, mapping
// or goroutine.
func TestLeavesNothing(t *testing.T) {
	budget, err := region.NewBudget(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	filling := func(b []byte) error { b[0] = 1; return nil }
	failing := errors.New("failing")
	kinds := []struct {
		options []region.Option
		fails   error
	}{
		{nil, nil},
		{[]region.Option{region.Resident(), region.Guarded(), region.NoDump(), region.NoFork()}, nil},
		{[]region.Option{region.Sealed(), region.Resident(), region.Guarded()}, nil},
		{[]region.Option{region.Windowed(), region.WipeOnFork()}, nil},
		{[]region.Option{region.Secret(), region.Sealed()}, nil},
		{[]region.Option{region.OnUse(budget), region.NoSwap()}, nil},
		{[]region.Option{region.ReadOnlyUntilClose(filling), region.Guarded()}, nil},
		{[]region.Option{region.ReadOnly(func([]byte) error { return failing })}, failing},
		{[]region.Option{region.OnUse(exhausted(t))}, region.ErrLimit},
		{[]region.Option{region.Secret(), region.WipeOnFork()}, region.ErrConflict},
		// Fails last of all, but where there are protection keys.
		{[]region.Option{region.Sealed(), region.Windowed(), region.Guarded(), region.OnUse(budget)}, nil},
	}
	cycle := func(n int) {
		k := kinds[n%len(kinds)]
		r, err := region.Map(5000, k.options...)
		if errors.Is(err, region.ErrUnsupported) {
			return
		}
		if !errors.Is(err, k.fails) {
			t.Fatalf("kind %d: %v, want %v", n%len(kinds), err, k.fails)
		}
		if err != nil {
			return
		}
		if err := r.Read(func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 * len(kinds) { // what stays for good, such as a sealed arena
		cycle(n)
	}
	fds, vmas, goroutines := descriptors(t), mappings(t), runtime.NumGoroutine()
	for n := range 10000 {
		cycle(n)
	}
	if now := descriptors(t); now != fds {
		t.Errorf("%d descriptors, before it were %d", now, fds)
	}
	// The Go runtime may have mapped some for itself; a leak would be a thousand.
	if now := mappings(t); now > vmas+50 {
		t.Errorf("%d mappings, before it were %d", now, vmas)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, before it were %d", now, goroutines)
	}
	if budget.Used() != 0 {
		t.Errorf("%d bytes of the budget are used", budget.Used())
	}
}

func exhausted(t *testing.T) *region.Budget {
	t.Helper()
	budget, err := region.NewBudget(1)
	if err != nil {
		t.Fatal(err)
	}
	return budget
}

// A panic of the function that fills leaves nothing either.
func TestFillPanics(t *testing.T) {
	mapped(t, 1, region.ReadOnlyUntilClose(func([]byte) error { return nil })) // or there is none here
	before, fds := mappings(t), descriptors(t)
	for range 100 {
		func() {
			defer func() {
				if recover() != "mine" {
					t.Error("no panic")
				}
			}()
			_, _ = region.Map(5000, region.Guarded(), region.ReadOnly(func([]byte) error { panic("mine") }))
		}()
	}
	if after := mappings(t); after > before+20 {
		t.Errorf("%d mappings, before it were %d", after, before)
	}
	if after := descriptors(t); after != fds {
		t.Errorf("%d descriptors, before it were %d", after, fds)
	}
}

package region_test

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// mapped maps a region that is closed at the end of the test, or skips where this machine
// can't give it.
func mapped(t testing.TB, size int, options ...region.Option) *region.Region {
	t.Helper()
	r, err := region.Map(size, options...)
	given(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, region.ErrClosed) && !errors.Is(err, region.ErrCorrupt) {
			t.Error(err)
		}
	})
	return r
}

// given skips where this machine has not what an error says; another error fails the test.
func given(t testing.TB, err error) {
	t.Helper()
	var e *region.Error
	if errors.As(err, &e) && errors.Is(err, region.ErrUnsupported) && lacks(e.Guarantee) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lacks tries what a guarantee is made of.
func lacks(guarantee string) bool {
	switch guarantee {
	case "Secret":
		f, err := sys.MemfdSecret()
		if err == nil {
			f.Close()
		}
		return err != nil
	case "Sealed":
		return errors.Is(sys.Mseal(nil), syscall.ENOSYS)
	case "ReadOnly":
		return cannotMapSealed()
	case "Sealed+Windowed":
		key, err := sys.PkeyAlloc(sys.PkeyDisableAccess)
		if err == nil {
			_ = sys.PkeyFree(key)
		}
		return err != nil
	}
	return false
}

func cannotMapSealed() bool {
	f, err := sys.MemfdCreate("test", sys.MfdNoexecSeal)
	if err != nil {
		return errors.Is(err, syscall.EINVAL)
	}
	defer f.Close()
	if f.Truncate(4096) != nil || sys.AddSeals(f, sys.SealWrite) != nil {
		return false
	}
	b, err := sys.Mmap(4096, sys.ProtRead, sys.MapShared, int(f.Fd()), 0)
	if err == nil {
		_ = sys.Munmap(b)
	}
	return errors.Is(err, syscall.EPERM)
}

func TestBytes(t *testing.T) {
	for name, options := range map[string][]region.Option{
		"plain":                   nil,
		"resident":                {region.Resident()},
		"secret":                  {region.Secret()},
		"secret resident guarded": {region.Secret(), region.Resident(), region.Guarded()},
		"guarded":                 {region.Guarded()},
		"sealed":                  {region.Sealed()},
		"sealed secret":           {region.Sealed(), region.Secret()},
		"sealed resident guarded": {region.Sealed(), region.Resident(), region.Guarded()},
		"no swap":                 {region.NoSwap(), region.NoDump(), region.NoFork(), region.NoMerge()},
		"wiped":                   {region.WipeOnFork(), region.NoDump()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, 8, 32, 4095, 4096, 4097} {
				r := mapped(t, size, options...)
				b := r.Bytes()
				if len(b) != size || cap(b) != size || r.Size() != size {
					t.Fatalf("%d bytes: %d, capacity %d", size, len(b), cap(b))
				}
				if !bytes.Equal(b, make([]byte, size)) {
					t.Fatalf("%d bytes are not zero", size)
				}
				fill(b)
				if err := r.Check(); err != nil {
					t.Errorf("%d bytes, written whole: %v", size, err)
				}
				if err := r.Read(func(got []byte) error { return same(got, size) }); err != nil {
					t.Error(err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func fill(b []byte) {
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
}

func same(b []byte, size int) error {
	want := make([]byte, size)
	fill(want)
	if !bytes.Equal(b, want) {
		return fmt.Errorf("%x, want %x", b, want)
	}
	return nil
}

// A sealed region gets the memory of one that was closed, wiped.
func TestRecycled(t *testing.T) {
	for name, options := range map[string][]region.Option{
		"plain":            {region.Sealed()},
		"resident guarded": {region.Sealed(), region.Resident(), region.Guarded()},
		"secret":           {region.Sealed(), region.Secret()},
	} {
		t.Run(name, func(t *testing.T) {
			first := mapped(t, 100, options...)
			at := &first.Bytes()[:1][0]
			fill(first.Bytes())
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := mapped(t, 200, options...)
			if first.Bytes() != nil {
				t.Error("the closed region shows the new one's memory")
			}
			if !bytes.Equal(second.Bytes(), make([]byte, 200)) {
				t.Error("not wiped")
			}
			if err := second.Check(); err != nil {
				t.Error(err)
			}
			holds(t, second) // as if it were new
			if name == "plain" && &second.Bytes()[0] != at {
				t.Error("other memory")
			}
		})
	}
}

func TestClosed(t *testing.T) {
	r := mapped(t, 10, region.Guarded())
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	nothing := func([]byte) error { t.Error("called"); return nil }
	for name, err := range map[string]error{"close": r.Close(), "read": r.Read(nothing), "write": r.Write(nothing), "check": r.Check()} {
		var e *region.Error
		if !errors.Is(err, region.ErrClosed) || !errors.As(err, &e) || e.Op != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r.Bytes() != nil {
		t.Error("bytes of a closed region")
	}
}

// Close is refused from within a window, and what a function returns comes back.
func TestInUse(t *testing.T) {
	for _, options := range [][]region.Option{nil, {region.Windowed()}} {
		r := mapped(t, 10, options...)
		mine := errors.New("mine")
		for name, use := range map[string]func(func([]byte) error) error{"read": r.Read, "write": r.Write} {
			if err := use(func([]byte) error {
				if err := r.Close(); !errors.Is(err, region.ErrConflict) {
					t.Errorf("close in a %s: %v", name, err)
				}
				return mine
			}); err != mine {
				t.Errorf("%s: %v, want the function's own error", name, err)
			}
		}
		func() {
			defer func() { _ = recover() }()
			_ = r.Read(func([]byte) error { panic("in the window") })
		}()
		if err := r.Write(func(b []byte) error { b[0] = 1; return nil }); err != nil {
			t.Errorf("after a panic in a window: %v", err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	for name, option := range map[string]func(func([]byte) error) region.Option{"sealed": region.ReadOnly, "until close": region.ReadOnlyUntilClose} {
		t.Run(name, func(t *testing.T) {
			r := mapped(t, 5000, region.Guarded(), region.Resident(), option(func(b []byte) error {
				if len(b) != 5000 {
					t.Errorf("%d bytes to fill", len(b))
				}
				fill(b)
				return nil
			}))
			if err := same(r.Bytes(), 5000); err != nil {
				t.Error(err)
			}
			if err := r.Check(); err != nil {
				t.Error(err)
			}
			if err := r.Write(func([]byte) error { return nil }); !errors.Is(err, region.ErrConflict) {
				t.Errorf("write: %v", err)
			}
			mine := errors.New("mine")
			if _, err := region.Map(10, option(func([]byte) error { return mine })); err != mine {
				t.Errorf("%v, want the filling function's error", err)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for _, size := range []int{-1, 0, 1<<46 + 1} {
		if _, err := region.Map(size); !errors.Is(err, region.ErrSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := region.Map(1<<46, region.Guarded()); !errors.Is(err, region.ErrLimit) {
		t.Errorf("%v, want a limit", err)
	}
}

func TestCanaries(t *testing.T) {
	for _, size := range []int{100, 4083} {
		for name, at := range map[string]int{"before": -1, "far before": -3, "behind": size} {
			r := mapped(t, size, region.Guarded())
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			flip(r.Bytes(), at)
			for _, err := range []error{r.Check(), r.Close()} {
				if !errors.Is(err, region.ErrCorrupt) {
					t.Errorf("%d bytes, one changed %s: %v", size, name, err)
				}
			}
		}
	}
}

func TestBudget(t *testing.T) {
	budget, err := region.NewBudget(3 * 4096)
	if err != nil {
		t.Fatal(err)
	}
	two := mapped(t, 5000, region.OnUse(budget))
	if _, err := region.Map(4097, region.OnUse(budget)); !errors.Is(err, region.ErrLimit) {
		t.Errorf("above the budget: %v", err)
	}
	if budget.Used() != 8192 {
		t.Errorf("%d bytes are used, want 8192: a refused region costs nothing", budget.Used())
	}
	if err := two.Close(); err != nil || budget.Used() != 0 {
		t.Errorf("%v, and %d bytes are used", err, budget.Used())
	}
	if _, err := region.NewBudget(1 << 60); !errors.Is(err, region.ErrLimit) {
		t.Errorf("a budget of more than there is: %v", err)
	}
}

// What is sealed is counted when it is closed: what waits for its next owner, and what stays.
func TestRetiredBytes(t *testing.T) {
	sealed := mapped(t, 9*4096, region.Sealed(), region.NoDump())
	readOnly := mapped(t, 4096, region.ReadOnly(func([]byte) error { return nil }))
	waiting, forever := region.RetiredBytes()
	for _, r := range []*region.Region{sealed, readOnly} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if w, f := region.RetiredBytes(); w-waiting != 9*4096 || f-forever != 4096 {
		t.Errorf("%d bytes more wait, and %d more stay", w-waiting, f-forever)
	}
	mapped(t, 8*4096+1, region.Sealed(), region.NoDump())
	if w, _ := region.RetiredBytes(); w != waiting {
		t.Errorf("%d bytes wait, want %d: they were used again", w, waiting)
	}
}

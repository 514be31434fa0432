package region_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/safevma/safevma/region"
)

type account struct {
	ID      uint32
	Key     [32]byte
	Balance int64
}

func mustNew[T any](t testing.TB, options ...region.Option) *region.Value[T] {
	t.Helper()
	v, err := region.New[T](options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil && !errors.Is(err, region.ErrClosed) {
			t.Error(err)
		}
	})
	return v
}

func TestValue(t *testing.T) {
	for _, options := range [][]region.Option{nil, {region.Guarded(), region.Resident()}, {region.Windowed()}, {region.Guarded(), region.Windowed()}} {
		v := mustNew[account](t, options...)
		names := strings.Join(v.Region().Guarantees(), " ")
		err := v.Write(func(a *account) error {
			if *a != (account{}) {
				t.Errorf("%s: a new value is %v", names, *a)
			}
			a.Key[31], a.Balance = 7, -5
			return nil
		})
		if err != nil {
			t.Fatal(names, err)
		}
		if err := v.Read(func(a *account) error {
			if a.Key[31] != 7 || a.Balance != -5 {
				t.Errorf("%s: it is %v", names, *a)
			}
			return nil
		}); err != nil {
			t.Error(names, err)
		}
		if (v.Get() == nil) != strings.Contains(names, "Windowed") {
			t.Errorf("%s: Get returned %v", names, v.Get())
		}
		if err := v.Close(); err != nil || v.Get() != nil {
			t.Error(names, err)
		}
		if err := v.Read(func(*account) error { return nil }); !errors.Is(err, region.ErrClosed) {
			t.Error(names, err)
		}
	}
}

// A type with a Go pointer is refused, by the name of the field.
func TestTypes(t *testing.T) {
	refused := func(err error, field string) {
		t.Helper()
		if !errors.Is(err, region.ErrType) || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want one that names %q", err, field)
		}
	}
	_, err := region.New[struct {
		ID   int
		User struct{ Names [2]string }
	}]()
	refused(err, "User.Names[] is a string")
	_, err = region.New[*int]()
	refused(err, "*int")
	_, err = region.New[struct{}]()
	refused(err, "no bytes")
	mustNew[[3]uintptr](t)
}

func TestFill(t *testing.T) {
	fill := region.ReadOnlyUntilClose(region.Fill(func(a *account) error { a.ID = 9; return nil }))
	if _, err := region.New[account](fill); errors.Is(err, region.ErrUnsupported) {
		t.Skip(err)
	}
	v := mustNew[account](t, fill)
	if v.Get().ID != 9 {
		t.Error("it was not filled")
	}
	err := v.Write(func(*account) error { return nil })
	if !errors.Is(err, region.ErrConflict) {
		t.Error(err)
	}
	_, err = region.New[int64](region.ReadOnlyUntilClose(region.Fill(func(*account) error { return nil })))
	if !errors.Is(err, region.ErrType) {
		t.Error("another type fills it: ", err)
	}
}

func TestEqual(t *testing.T) {
	r, err := region.Map(4)
	if err != nil {
		t.Fatal(err)
	}
	copy(r.Bytes(), "abcd")
	for other, want := range map[string]bool{"abcd": true, "abce": false, "abc": false, "abcde": false, "": false} {
		if got, err := r.Equal([]byte(other)); got != want || err != nil {
			t.Errorf("%q: %v, %v", other, got, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Equal(nil); !errors.Is(err, region.ErrClosed) {
		t.Error(err)
	}
}

func TestDo(t *testing.T) {
	ran := false
	region.Do(func() { ran = true })
	if !ran {
		t.Error("the function did not run")
	}
	t.Log("erases:", region.Erases)
}

package store

import (
	"strings"
	"testing"
	"time"
)

// forgetful is a store that says that it has all, and loses one pair.
type forgetful struct {
	Store
	lost *int
}

func (f forgetful) Put(key, value []byte) error {
	if *f.lost++; *f.lost == 50 {
		return nil
	}
	return f.Store.Put(key, value)
}

// The control: a store that loses what it acknowledged is not measured.
func TestLossIsFound(t *testing.T) {
	for name, open := range All {
		lost := 0
		broken := func(folder string, writers int) (Store, error) {
			s, err := open(folder, writers)
			return forgetful{s, &lost}, err
		}
		if _, _, err := Commits(broken, t.TempDir(), 1, 60); err == nil || !strings.Contains(err.Error(), "59 keys") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachWriterHasItsShare(t *testing.T) {
	got := make([][]int, 3)
	m, _, err := Run("x", 3, 10, func(w, i int) error {
		got[w] = append(got[w], i)
		return nil
	})
	if err != nil || m.Ops != 10 {
		t.Fatal(m, err)
	}
	for w, all := range got {
		for k, i := range all {
			if i != w+3*k {
				t.Errorf("writer %d: %v", w, all)
			}
		}
	}
	if len(got[0])+len(got[1])+len(got[2]) != 10 {
		t.Error(got)
	}
}

func TestLatencies(t *testing.T) {
	took := make([]time.Duration, 200)
	for i := range took {
		took[i] = time.Duration(200-i) * time.Microsecond
	}
	want := "half of the commits took up to 101 µs, 99 % up to 199 µs, the slowest 200 µs"
	if got := latencies(took); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

package survival

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/fsck"
	"github.com/safevma/safevma/pmem/medium"
)

// asStray makes the test binary store where it must not, in a goroutine that nobody guards: the
// file of the pool, or its name behind "late:".
const asStray = "SAFEVMA_SURVIVAL_STRAY"

// fixed is an object that is lent.
type fixed struct{ A, B uint64 }

// strayPool makes a pool with an object to lend, and one to change.
func strayPool(t *testing.T, file string, o pmem.Options) (*pmem.Pool, pmem.Ref[fixed], pmem.Ref[counter]) {
	t.Helper()
	p, err := pmem.Create(file, 4<<20, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	var lent pmem.Ref[fixed]
	var changed pmem.Ref[counter]
	if err := p.Update(t.Context(), func(tx *pmem.Tx) error {
		var err, err2 error
		lent, err = pmem.AllocImmutable(tx, fixed{1, 2})
		changed, err2 = pmem.Alloc(tx, counter{3})
		return errors.Join(err, err2, pmem.SetRoot(tx, "lent", lent), pmem.SetRoot(tx, "changed", changed))
	}); err != nil {
		t.Fatal(err)
	}
	return p, lent, changed
}

// intact checks that a pool is as strayPool made it.
func intact(t *testing.T, p *pmem.Pool) {
	t.Helper()
	if err := p.View(context.Background(), func(tx *pmem.Tx) error {
		lent, err := pmem.Root[fixed](tx, "lent")
		if err != nil {
			return err
		}
		changed, err := pmem.Root[counter](tx, "changed")
		if err != nil {
			return err
		}
		a, err := pmem.Get(tx, lent)
		if err != nil {
			return err
		}
		b, err := pmem.Get(tx, changed)
		if a != (fixed{1, 2}) || b != (counter{3}) {
			t.Errorf("there are %v and %v", a, b)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := fsck.Pool(p); err != nil {
		t.Error(err)
	}
}

// A store through what was lent faults. Inside a transaction that is an error with the place, and
// nothing of the transaction is there.
func TestStrayStore(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			file := filepath.Join(place.dir(t), "pool")
			p, lent, changed := strayPool(t, file, pmem.Options{Medium: medium.Options{AssumeDAX: place.kind == medium.DAX}})
			for _, tt := range []struct {
				name string
				run  func(context.Context, func(*pmem.Tx) error) error
				also func(*pmem.Tx) error // what is undone
			}{
				{"View", p.View, func(*pmem.Tx) error { return nil }},
				{"Update", p.Update, func(tx *pmem.Tx) error {
					_, err := pmem.AllocBytes(tx, make([]byte, 100))
					_, err2 := pmem.AllocBytes(tx, make([]byte, 100_000))
					return errors.Join(err, err2, pmem.Set(tx, changed, counter{99}))
				}},
			} {
				err := tt.run(t.Context(), func(tx *pmem.Tx) error {
					if err := tt.also(tx); err != nil {
						return err
					}
					f, err := pmem.Borrow(tx, lent)
					if err != nil {
						return err
					}
					if f.A != 1 || f.B != 2 {
						t.Errorf("%s lends %v", tt.name, *f)
					}
					f.B = 99 //safevma:allow the stray store is what this test is about
					t.Errorf("%s: the store did not fault", tt.name)
					return nil
				})
				off, is := medium.IsFault(err)
				if !is || off != lent.Offset()+24+8 { // 24 bytes of header and CRCs, and A
					t.Errorf("%s: %v, and the object is at %d", tt.name, err, lent.Offset())
				}
				intact(t, p)
			}
		})
	}
}

// strayProcess is the process of TestStrayStoreOutside. It is expected to die.
func strayProcess(argument string) error {
	file, late := strings.CutPrefix(argument, "late:")
	p, err := pmem.Open(file, pmem.Options{})
	if err != nil {
		return err
	}
	var f *fixed
	store := func() { f.A = 99 } //safevma:allow the stray store is what this test is about
	if err := p.View(context.Background(), func(tx *pmem.Tx) error {
		lent, err := pmem.Root[fixed](tx, "lent")
		if err != nil {
			return err
		}
		if f, err = pmem.Borrow(tx, lent); err != nil || late { //safevma:allow the stray store is what this test is about
			return err
		}
		go store() //safevma:allow the stray store is what this test is about
		time.Sleep(10 * time.Second)
		return errors.New("alive 10 s after the store")
	}); err != nil {
		return err
	}
	store()
	return errors.New("alive after the store")
}

// In a goroutine that the user started, or after the transaction, it ends the process. The pool is
// intact.
func TestStrayStoreOutside(t *testing.T) {
	for _, when := range []string{"", "late:"} {
		for _, place := range places[:2] {
			t.Run(when+place.name, func(t *testing.T) {
				file := filepath.Join(place.dir(t), "pool")
				p, _, _ := strayPool(t, file, pmem.Options{})
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), asStray+"="+when+file)
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), "unexpected fault address") || !strings.Contains(string(out), "SIGSEGV") {
					t.Errorf("it ended with %v, and said\n%s", err, out)
				}
				if p, err = pmem.Open(file, pmem.Options{}); err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				intact(t, p)
			})
		}
	}
}

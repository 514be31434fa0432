package code

import (
	"os"
	"slices"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// mutant puts memory that lacks something in the place of what was published.
type mutant struct {
	name   string
	broken []string
	do     func(t *testing.T, a *Arena)
}

// image returns a memfd with what executes in the arena.
func image(t *testing.T, a *Arena) *os.File {
	t.Helper()
	f, err := sys.MemfdCreate("safevma-code", sys.MfdAllowSealing)
	if err == nil {
		_, err = f.Write(a.place[:a.mapped])
	}
	if err != nil {
		t.Fatal(err)
	}
	if err == nil {
		a.file, err = sys.Stat(f) // as if it had been published
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func remap(t *testing.T, a *Arena, prot, flags int, f *os.File) {
	t.Helper()
	if err := sys.MmapAt(a.place[:a.mapped], prot, flags, int(f.Fd()), 0); err != nil {
		t.Fatal(err)
	}
}

const readExec = sys.ProtRead | sys.ProtExec

var mutants = []mutant{
	{"intact", nil, func(*testing.T, *Arena) {}},
	{"memfd that is not sealed", []string{"code-read-only"}, func(t *testing.T, a *Arena) {
		remap(t, a, readExec, sys.MapShared, image(t, a))
	}},
	{"private mapping", []string{"code-read-only"}, func(t *testing.T, a *Arena) {
		remap(t, a, readExec, sys.MapPrivate, image(t, a))
	}},
	{"writable and executable", []string{"code-read-only", "code-not-writable-elsewhere"}, func(t *testing.T, a *Arena) {
		remap(t, a, readExec|sys.ProtWrite, sys.MapShared, image(t, a))
	}},
	{"another file, to which who mapped it before can write", []string{"code-not-writable-elsewhere"}, func(t *testing.T, a *Arena) {
		published := a.file
		f := image(t, a)
		if err := sys.AddSeals(f, sys.SealFutureWrite); err != nil {
			t.Fatal(err)
		}
		remap(t, a, readExec, sys.MapShared, f)
		a.file = published
	}},
	{"writable alias", []string{"code-not-writable-elsewhere"}, func(t *testing.T, a *Arena) {
		f := image(t, a)
		alias, err := sys.Mmap(a.mapped, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sys.Munmap(alias) })
		if err := sys.AddSeals(f, sys.SealFutureWrite); err != nil { // but for the alias
			t.Fatal(err)
		}
		remap(t, a, readExec, sys.MapShared, f)
	}},
	{"said to be sealed", []string{"code-sealed"}, func(t *testing.T, a *Arena) { a.sealed = true }},
}

// Each mutant lacks one thing, which Verify names, and only that.
func TestVerifyMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			a := newArena(t, 1<<16)
			p := add(t, a, adder(t, 3))
			publish(t, a)
			m.do(t, a)
			defer func() { a.sealed = false }() // for Close
			runs(t, p, 3)
			var broken []string
			for _, v := range verify(t, a) {
				switch v.Status {
				case guarantee.Broken:
					broken = append(broken, v.Rule)
				case guarantee.Unknown:
					t.Errorf("%s: %s", v.Rule, v.Message)
				}
			}
			if !slices.Equal(broken, m.broken) {
				t.Errorf("broken %q, want %q", broken, m.broken)
			}
			runs(t, p, 3)
		})
	}
}

func verify(t *testing.T, a *Arena) []guarantee.Verdict {
	t.Helper()
	verdicts, err := a.Verify()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if _, ok := guarantee.Find(v.Requirement); !ok || len(v.Observation.Raw) == 0 || v.Control.Detail == "" {
			t.Errorf("%+v", v)
		}
	}
	return verdicts
}

func TestVerify(t *testing.T) {
	a := newArena(t, 1<<16)
	if len(verify(t, a)) != 0 {
		t.Error("verdicts of nothing")
	}
	add(t, a, adder(t, 3))
	sealed(t, a)
	all := verify(t, a)
	for _, v := range all {
		if v.Status != guarantee.Holds {
			t.Errorf("%s: %s, %s", v.Rule, v.Status, v.Message)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d verdicts", len(all))
	}
	b := newArena(t, 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Verify()
	want(t, err, region.ErrClosed)
}

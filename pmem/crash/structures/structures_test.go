package structures

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

var models = []state.Model{crash.Kill, crash.ADR, crash.EADR, crash.PageCache, crash.PageCacheTorn}

var torn = crash.PageCacheTorn

// mended: all of it is explored, and holds, but under the models that it is not made for.
func mended[S any](t *testing.T, w crash.Workload[S], without ...state.Model) {
	t.Helper()
	fit := slices.DeleteFunc(slices.Clone(models), func(m state.Model) bool { return slices.Contains(without, m) })
	r := crash.Run(t, crash.Config{Models: fit}, w)
	if r == nil {
		return // a replay
	}
	for _, m := range r.Models {
		if !m.Complete() || m.Images != m.ImagesChecked {
			t.Errorf("%v: not complete", m.Model)
		}
	}
}

// broken: some state does not recover, and it is shown with the place of the store.
func broken[S any](t *testing.T, w crash.Workload[S], model state.Model) {
	t.Helper()
	r, err := crash.Explore(context.Background(), crash.Config{Name: t.Name(), Models: []state.Model{model}}, w)
	var f *crash.Failure
	if !errors.As(err, &f) || f.Replay == nil {
		t.Fatalf("not found: %v\n%v", err, r)
	}
	t.Logf("%v", f)
}

func bitLog(bug bool) crash.Workload[*BitLog] {
	open := func(e *crash.Env) (*BitLog, error) {
		l, err := OpenBitLog(e.Medium)
		if err == nil {
			l.OneFence = bug
		}
		return l, err
	}
	return crash.Workload[*BitLog]{
		Size: 8192, Create: open, Recover: open, Dump: (*BitLog).Records,
		Run: func(o *crash.Ops[*BitLog]) error {
			for i := range uint64(6) {
				if err := o.Do(fmt.Sprint("append ", i+2), func(l *BitLog) error { return l.Append(i + 2) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestBitLog(t *testing.T) {
	mended(t, bitLog(false))
	broken(t, bitLog(true), crash.ADR)
}

func level(tokenFirst, twoTokens bool) crash.Workload[*Level] {
	open := func(e *crash.Env) (*Level, error) {
		l := OpenLevel(e.Medium)
		l.TokenFirst, l.TwoTokens = tokenFirst, twoTokens
		return l, nil
	}
	return crash.Workload[*Level]{
		Size: LevelSize, Create: open, Recover: open, Dump: (*Level).Items,
		Run: func(o *crash.Ops[*Level]) error {
			var err error
			for i := range uint64(8) {
				err = errors.Join(err, o.Do(fmt.Sprint("insert ", i), func(l *Level) error { return l.Put(i, i+100) }))
			}
			for i := range uint64(4) {
				err = errors.Join(err, o.Do(fmt.Sprint("update ", i), func(l *Level) error { return l.Put(i, i+200) }))
			}
			return errors.Join(err, o.Do("delete 3", func(l *Level) error { return l.Delete(3) }),
				o.Do("insert 3", func(l *Level) error { return l.Put(3, 300) }))
		},
	}
}

func TestLevel(t *testing.T) {
	mended(t, level(false, false))
	broken(t, level(true, false), crash.ADR)
	broken(t, level(false, true), crash.ADR)
	broken(t, level(false, true), crash.Kill)
}

func node4(bug bool) crash.Workload[*Node4] {
	open := func(e *crash.Env) (*Node4, error) {
		n := OpenNode4(e.Medium)
		n.ByChild = bug
		return n, nil
	}
	return crash.Workload[*Node4]{
		Size: 4096, Create: open, Recover: open, Dump: (*Node4).Show,
		Run: func(o *crash.Ops[*Node4]) error {
			for i := range byte(4) {
				if err := o.Do(fmt.Sprintf("insert %c", 'c'+i), func(n *Node4) error { return n.Insert('c'+i, uint64(i)+1) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestNode4(t *testing.T) {
	mended(t, node4(false), torn)
	broken(t, node4(false), torn) // it relies on the order within a line, which a torn page does not keep
	broken(t, node4(true), crash.ADR)
	broken(t, node4(true), crash.Kill)
}

func link(bug bool) crash.Workload[*Link] {
	open := func(e *crash.Env) (*Link, error) { return OpenLink(e.Medium, bug) }
	return crash.Workload[*Link]{
		Size: 4 * 4096, Create: open, Recover: open, Dump: (*Link).Items, Check: (*Link).Check,
		Run: func(o *crash.Ops[*Link]) error {
			for _, key := range []uint64{50, 20, 70, 10, 60, 30, 80, 40, 90, 15, 65} {
				if err := o.Do(fmt.Sprint("insert ", key), func(l *Link) error { return l.Insert(key, key*2) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestLink(t *testing.T) {
	mended(t, link(false))
	broken(t, link(true), crash.ADR)
	broken(t, link(true), crash.Kill)
}

func TestRedo(t *testing.T) {
	dax := []state.Model{crash.PageCache, crash.PageCacheTorn} // it is for persistent memory
	mended(t, RedoWorkload(8, 6, 2, false), dax...)
	broken(t, RedoWorkload(8, 6, 2, true), crash.ADR)
	broken(t, RedoWorkload(8, 6, 2, true), crash.EADR)
}

package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/mglru"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/lab"
)

const advised = 16 << 20 // bytes of each mapping

// Two mappings that are used alike, one of them advised: where FindAdvised says that the
// kernel ignores the accessed bit, reclaim takes the advised one and leaves its twin;
// otherwise (random before 6.3) it leaves both. The control has no advice.
func TestLiveAdvisedGoFirst(t *testing.T) {
	scope, group := lruGroup(t)
	for _, tt := range []struct {
		name   string
		advice int
		want   string
	}{{"random", sys.MadvRandom, "random"}, {"sequential", sys.MadvSequential, "sequential"}, {"no advice", madvNormal, ""}} {
		t.Run(tt.name, func(t *testing.T) {
			names := twins(t)
			victim := hog.Maps(t, hog.Mapping{File: names[0], Bytes: advised, Advice: tt.advice}, hog.Mapping{File: names[1], Bytes: advised})
			if err := errors.Join(group.Add(victim.PID), victim.Begin()); err != nil {
				t.Fatal(err)
			}
			r, err := FindAdvised(context.Background(), process.Default(), []int{victim.PID}, nil)
			if err != nil || r.Ignored == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			goes := false
			for _, a := range r.Advised {
				if a.Advice != tt.want || a.Start != hexadecimal(victim.Address(0)) {
					t.Fatalf("%+v", a)
				}
				goes = *a.Ignored
			}
			if len(r.Advised) == 0 && tt.want != "" {
				t.Fatalf("%+v", r)
			}
			reclaimIdle(t, scope, victim)
			left, twin := inMemory(t, names[0]), inMemory(t, names[1])
			t.Logf("kernel %s: of %d pages %d are left, of the twin %d", r.Kernel, advised/os.Getpagesize(), left, twin)
			all := advised / os.Getpagesize()
			if (left < all/10) != goes || (left > all*9/10) == goes {
				t.Errorf("of %d pages that were just used %d are left; advised %q, accessed bit ignored %v", all, left, tt.want, goes)
			}
			if twin < all*9/10 {
				t.Errorf("of %d pages without advice that were just used %d are left", all, twin)
			}
		})
	}
}

// reclaimIdle has the kernel age and evict what it finds idle, while both mappings are used
// between.
func reclaimIdle(t *testing.T, scope mglru.Scope, victim *hog.Victim) {
	t.Helper()
	f := mglru.Default()
	chosen := func() []mglru.Memcg {
		list, err := f.Generations(false)
		if err == nil {
			list, err = scope.Choose(list)
		}
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for range 3 {
		if err := errors.Join(victim.Touch(0, 0, advised), victim.Touch(1, 0, advised)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Do(mglru.PlanAge(chosen(), mglru.AgeOptions{Swap: true, Force: true})); err != nil {
			t.Fatal(err)
		}
	}
	steps, err := mglru.PlanEvict(chosen(), mglru.EvictOptions{Swappiness: 0})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := f.Do(steps)
	for _, o := range outcomes {
		err = errors.Join(err, o.Err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lruGroup makes a group in a machine of the lab, whose kernel may have generations switched
// off (6.1).
func lruGroup(t *testing.T) (mglru.Scope, *cgroup.Group) {
	t.Helper()
	lab.Inside(t)
	lab.MemoryController(t)
	err := os.WriteFile("/sys/kernel/mm/lru_gen/enabled", []byte("y"), 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("safevma-watch-lru-%d", os.Getpid())
	group, err := cgroup.NewMemory(name, 128<<20)
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	return mglru.Scope{Path: groupPath(t, group), Node: mglru.EveryNode}, group
}

// groupPath is the path of a group in its hierarchy.
func groupPath(t *testing.T, group *cgroup.Group) string {
	t.Helper()
	controller := ""
	if group.Version() == 1 {
		controller = "memory"
	}
	refs, err := cgroup.Default().Groups(controller)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if ref.Dir == group.Dir() {
			return ref.Path
		}
	}
	t.Fatalf("%s is not among the groups", group.Dir())
	return ""
}

// twins makes two files that are alike.
func twins(t *testing.T) (names [2]string) {
	t.Helper()
	dir := lab.Scratch(t)
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("twin%d", i))
		if err := errors.Join(os.WriteFile(names[i], nil, 0o600), os.Truncate(names[i], advised)); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// inMemory is how many pages of a file are in memory.
func inMemory(t *testing.T, name string) (n int) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := sys.Mmap(advised, sys.ProtRead, sys.MapShared, int(file.Fd()), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	in := make([]byte, advised/os.Getpagesize())
	if err := sys.Mincore(b, in); err != nil {
		t.Fatal(err)
	}
	for _, p := range in {
		n += int(p & 1)
	}
	return n
}

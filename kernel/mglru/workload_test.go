package mglru

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab"
)

const (
	workload = 32 << 20
	part     = 8 << 20 // is hot, or cold; the rest is the other
)

// A group in which one part of a mapped file is used and the other is not: once the kernel has
// aged it, what was used is in the two youngest generations, and evicting the older ones takes
// what was not. The control is the same with the parts exchanged.
func TestLiveWorkingSet(t *testing.T) {
	for _, tt := range []struct {
		name             string
		hotFrom, hotTo   int
		coldFrom, coldTo int
	}{
		{name: "a quarter is hot", hotTo: part, coldFrom: part, coldTo: workload},
		{name: "a quarter is cold", hotFrom: part, hotTo: workload, coldTo: part},
	} {
		t.Run(tt.name, func(t *testing.T) {
			group, name := ownGroup(t)
			mapped := largeFile(t)
			victim := hog.Maps(t, hog.Mapping{File: mapped, Bytes: workload})
			if err := errors.Join(group.Add(victim.PID), victim.Begin()); err != nil {
				t.Fatal(err)
			}
			hot, cold := pages(tt.hotTo-tt.hotFrom), pages(tt.coldTo-tt.coldFrom)
			scope := Scope{Path: find(t, name).Path, Node: EveryNode}
			ages(t, scope) // what has filled the memory
			ages(t, scope)
			if err := victim.Touch(0, tt.hotFrom, tt.hotTo); err != nil {
				t.Fatal(err)
			}
			after := ages(t, scope)
			young, old := split(after)
			t.Logf("of %d hot and %d cold pages %d are young and %d old", hot, cold, young, old)
			if !near(young, hot) || !near(old, cold) {
				t.Errorf("%d pages are in the two youngest generations, and %d in older ones; %d were used, and %d were not: %+v", young, old, hot, cold, after)
			}
			outcomes := evicts(t, scope, EvictOptions{Swappiness: 0})
			hotLeft, coldLeft := resident(t, mapped, tt.hotFrom, tt.hotTo), resident(t, mapped, tt.coldFrom, tt.coldTo)
			t.Logf("of them %d and %d are left", hotLeft, coldLeft)
			if hotLeft < hot*9/10 || coldLeft > cold/10 {
				t.Errorf("of %d pages that were used %d are left, of %d that were not %d: %+v", hot, hotLeft, cold, coldLeft, outcomes)
			}
		})
	}
}

// No more pages are evicted than asked for, and none that are younger.
func TestLiveEvictionBounded(t *testing.T) {
	group, name := ownGroup(t)
	mapped := largeFile(t)
	victim := hog.Maps(t, hog.Mapping{File: mapped, Bytes: workload})
	if err := errors.Join(group.Add(victim.PID), victim.Begin()); err != nil {
		t.Fatal(err)
	}
	scope := Scope{Path: find(t, name).Path, Node: EveryNode}
	for _, s := range evicts(t, scope, EvictOptions{Idle: 1 << 40, Swappiness: 0}) {
		if s.Command != nil {
			t.Errorf("nothing has been idle for so long: %+v", s)
		}
	}
	for range 3 {
		ages(t, scope)
	}
	const most = 1024
	before := resident(t, mapped, 0, workload)
	evicts(t, scope, EvictOptions{Swappiness: 0, Pages: most})
	gone := before - resident(t, mapped, 0, workload)
	t.Logf("%d of %d pages are gone", gone, before)
	if gone == 0 || gone > most+most/4 { // the kernel goes by batches
		t.Errorf("%d pages are gone, of %d that were asked for", gone, most)
	}
}

// largeFile makes a file of a workload on a file system whose pages can be reclaimed.
func largeFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(lab.Scratch(t), "mapped")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, workload)); err != nil {
		t.Fatal(err)
	}
	return name
}

func pages(bytes int) uint64 { return uint64(bytes / os.Getpagesize()) }

// near: the process has pages of its own, and the kernel counts in batches.
func near(got, want uint64) bool { return got+want/8 >= want && got <= want+want/8+256 }

// ages has a scope aged, looks at all page tables, and returns its only node with memory.
func ages(t *testing.T, s Scope) Node {
	t.Helper()
	chosen, err := s.Choose(live(t))
	if err != nil {
		t.Fatal(err)
	}
	return *busiest(t, do(t, PlanAge(chosen, AgeOptions{Swap: true, Force: true}))).After
}

func evicts(t *testing.T, s Scope, o EvictOptions) []Outcome {
	t.Helper()
	chosen, err := s.Choose(live(t))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := PlanEvict(chosen, o)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, steps)
}

func do(t *testing.T, steps []Step) []Outcome {
	t.Helper()
	outcomes, err := Default().Do(steps)
	for _, o := range outcomes {
		err = errors.Join(err, o.Err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func busiest(t *testing.T, outcomes []Outcome) Outcome {
	t.Helper()
	most := outcomes[0]
	for _, o := range outcomes {
		if o.After.Pages() > most.After.Pages() {
			most = o
		}
	}
	return most
}

// split returns the pages of files in the two youngest generations, and in the older ones.
func split(n Node) (young, old uint64) {
	for i, g := range n.Generations {
		if i >= len(n.Generations)-spared {
			young += g.File
		} else {
			old += g.File
		}
	}
	return young, old
}

// resident is how many pages of a part of a file are in memory.
func resident(t *testing.T, name string, from, to int) (n uint64) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := sys.Mmap(to-from, sys.ProtRead, sys.MapShared, int(file.Fd()), int64(from))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	in := make([]byte, pages(to-from))
	if err := sys.Mincore(b, in); err != nil {
		t.Fatal(err)
	}
	for _, p := range in {
		n += uint64(p & 1)
	}
	return n
}

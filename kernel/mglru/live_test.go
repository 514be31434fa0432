package mglru

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/lab"
)

func live(t *testing.T) []Memcg {
	t.Helper()
	list, err := Default().Generations(false)
	if errors.Is(err, ErrAbsent) || errors.Is(err, ErrDenied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLive(t *testing.T) {
	list := live(t)
	if _, err := Default().Settings(); err != nil {
		t.Error(err)
	}
	if len(list) == 0 || len(list[0].Nodes) == 0 || len(list[0].Nodes[0].Generations) == 0 {
		t.Fatalf("no generation: %+v", list)
	}
	whole, err := Default().Generations(true)
	if err != nil {
		t.Fatal(err)
	}
	if g := whole[0].Nodes[0].Generations; len(g) == 0 || len(g[len(g)-1].Tiers) == 0 {
		t.Errorf("lru_gen_full without tiers: %+v", whole[0])
	}
}

// ownGroup makes a group, where generations of one can be seen.
func ownGroup(t *testing.T) (*cgroup.Group, string) {
	t.Helper()
	live(t)
	if s, err := Default().Settings(); err != nil || !s.Enabled.Has(Main) {
		t.Skipf("switched off: %+v, %v", s, err)
	}
	lab.MemoryController(t)
	name := fmt.Sprintf("safevma-mglru-test-%d", os.Getpid())
	group, err := cgroup.NewMemory(name, 64<<20)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { // after the process has ended
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	return group, name
}

// In an own group: aging makes a younger generation, with the memory that was there in an
// older one; a wrong number is refused.
func TestLiveAging(t *testing.T) {
	group, name := ownGroup(t)
	process := hog.Holds(t, 8<<20)
	if err := errors.Join(group.Add(process.PID), process.Go(), process.Ready()); err != nil {
		t.Fatal(err)
	}
	id, before := own(t, name, anonymous)
	youngest := last(before)
	if err := Default().Run(Age(id, before.ID, youngest.Seq+2, AgeOptions{})); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a generation that is not there: %v", err)
	}
	age(t, id, before)
	_, after := own(t, name, anonymous)
	if got := last(after); got.Seq != youngest.Seq+1 || got.Age > time.Minute || got.Anon >= sum(after, anonymous)/2 {
		t.Errorf("the youngest is %+v, was %+v", got, youngest)
	}
	// Linux 6.12 does nothing then, 7.3 ages again; neither says so.
	err := Default().Run(Age(id, before.ID, youngest.Seq, AgeOptions{Swap: true, Force: true}))
	_, again := own(t, name, anonymous)
	if err != nil || last(again).Seq < last(after).Seq {
		t.Errorf("a generation that is not the youngest any more: %+v, %v", again, err)
	}
	t.Logf("%+v; %+v; %+v", before.Generations, after.Generations, again.Generations)
}

// Pages of a file that nobody reads any more are evicted from a generation that is old
// enough, and not from one that is not.
func TestLiveEviction(t *testing.T) {
	group, name := ownGroup(t)
	process := hog.Reads(t, lab.Scratch(t), 16<<20)
	if err := errors.Join(group.Add(process.PID), process.Go()); err != nil {
		t.Fatal(err)
	}
	id, node := own(t, name, file)
	process.End()
	evict := func(upTo uint64) error {
		c, err := Evict(id, node.ID, upTo, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return Default().Run(c)
	}
	if err := evict(last(node).Seq); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the youngest generation is evicted: %v", err)
	}
	oldEnough := last(node).Seq
	for range 2 {
		age(t, id, node)
		_, node = own(t, name, file)
	}
	if err := evict(oldEnough); err != nil {
		t.Fatal(err)
	}
	var left uint64
	for _, n := range find(t, name).Nodes {
		if n.ID == node.ID {
			left = sum(n, file)
		}
	}
	if held := sum(node, file); left > held/2 {
		t.Errorf("of %d pages %d are left", held, left)
	}
}

func age(t *testing.T, id uint64, node Node) {
	t.Helper()
	if err := Default().Run(Age(id, node.ID, last(node).Seq, AgeOptions{Swap: true, Force: true})); err != nil {
		t.Fatal(err)
	}
}

func last(n Node) Generation { return n.Generations[len(n.Generations)-1] }

func anonymous(g Generation) uint64 { return g.Anon }
func file(g Generation) uint64      { return g.File }

func sum(n Node, kind func(Generation) uint64) (pages uint64) {
	for _, g := range n.Generations {
		pages += kind(g)
	}
	return pages
}

func TestMain(m *testing.M) {
	hog.Main()
	os.Exit(m.Run())
}

func find(t *testing.T, name string) Memcg {
	t.Helper()
	for _, m := range live(t) {
		if strings.HasSuffix(m.Path, "/"+name) && m.ID != 0 { // not one that was removed
			return m
		}
	}
	t.Fatalf("no group %s", name)
	return Memcg{}
}

// own waits until a node has most of the memory of the group, and returns it.
func own(t *testing.T, name string, kind func(Generation) uint64) (memcg uint64, node Node) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		m := find(t, name)
		for _, n := range m.Nodes {
			if sum(n, kind) >= 1024 { // half of what is held, counted in batches
				return m.ID, n
			}
		}
	}
	t.Fatalf("no node has the memory of %s: %+v", name, find(t, name))
	return 0, Node{}
}

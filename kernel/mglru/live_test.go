package mglru

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

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

// In an own group: aging makes a younger generation, with the memory that was there in an
// older one; a wrong number is refused.
func TestLiveAging(t *testing.T) {
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
	holds(t, group)
	before := own(t, name)
	youngest := before.Generations[len(before.Generations)-1].Seq
	id := ownID(t, name)
	if err := Default().Run(Age(id, before.ID, youngest+2, AgeOptions{})); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a generation that is not there: %v", err)
	}
	if err := Default().Run(Age(id, before.ID, youngest, AgeOptions{Swap: true, Force: true})); err != nil {
		t.Fatal(err)
	}
	after := own(t, name)
	if got := after.Generations[len(after.Generations)-1]; got.Seq != youngest+1 || got.Age > time.Minute {
		t.Errorf("the youngest is %+v, was %d", got, youngest)
	}
	t.Logf("%+v; %+v", before.Generations, after.Generations)
}

// holds starts a process in the group with 8 MiB of memory of its own.
func holds(t *testing.T, group *cgroup.Group) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `read go; x=$(head -c 8388608 /dev/zero | tr '\0' x); echo ready; read end`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if err := group.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "go")
	ready := make([]byte, 6)
	if _, err := out.Read(ready); err != nil {
		t.Skip("the process with memory:", err)
	}
}

func find(t *testing.T, name string) Memcg {
	t.Helper()
	for _, m := range live(t) {
		if strings.HasSuffix(m.Path, "/"+name) {
			return m
		}
	}
	t.Fatalf("no group %s", name)
	return Memcg{}
}

func ownID(t *testing.T, name string) uint64 { return find(t, name).ID }

func own(t *testing.T, name string) Node {
	t.Helper()
	for _, n := range find(t, name).Nodes {
		var pages uint64
		for _, g := range n.Generations {
			pages += g.Anon
		}
		if pages >= 1024 { // half of what is held, counted in batches
			return n
		}
	}
	t.Fatalf("no node has the memory of %s: %+v", name, find(t, name))
	return Node{}
}

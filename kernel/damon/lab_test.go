package damon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/lab"
)

// The tests in files named lab_ start kdamonds, and do so in a machine of the lab alone:
// the interface has one owner.

func TestMain(m *testing.M) {
	hog.Main()
	os.Exit(m.Run())
}

// labPatience bounds waiting for what takes a second; the machine is emulated, and shared.
const labPatience = 90 * time.Second

// labControl is a control of the kernel's own interface, which it gives back.
func labControl(t *testing.T, by Operations) *Control {
	t.Helper()
	lab.Inside(t)
	lab.Require(t, "damon-"+string(by))
	const stat = "/sys/module/damon_stat/parameters/enabled" // beside it no other may watch
	if err := os.WriteFile(stat, []byte("N"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	c, err := NewControl(Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.dir = t.TempDir()
	t.Cleanup(func() {
		if _, err := c.Stop(context.Background()); err != nil && !errors.Is(err, ErrNone) {
			t.Error(err)
		}
	})
	return c
}

// watching is a kdamond of a context that looks often, with these targets and schemes.
func watching(by Operations, targets []Target, schemes ...Scheme) []Kdamond {
	k := NewKdamond(by)
	c := &k.Contexts[0]
	c.Attrs = Attributes{Intervals{Sample: 20_000, Aggr: 400_000, Update: 3_600_000_000}, Range{100, 5000}}
	c.Targets, c.Schemes = targets, schemes
	return []Kdamond{k}
}

// update has the kernel update what it shows, and returns the schemes.
func update(t *testing.T, c *Control, what Command) []Scheme {
	t.Helper()
	now, err := c.Run(t.Context(), 0, what)
	if err != nil {
		t.Fatal(err)
	}
	return now[0].Contexts[0].Schemes
}

// labGroup makes a memory cgroup; its path is as filters take it.
func labGroup(t *testing.T, name string) (group *cgroup.Group, path string) {
	t.Helper()
	lab.Inside(t)
	lab.MemoryController(t)
	group, err := cgroup.NewMemory(fmt.Sprintf("safevma-damon-%s-%d", name, os.Getpid()), 256<<20)
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
	path, err = filepath.Rel("/sys/fs/cgroup", group.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return group, "/" + path
}

// physical returns where a part of an address space is in physical memory, in runs of at least
// so many bytes.
func physical(t *testing.T, pid int, start, end, least uint64) []AddrRegion {
	t.Helper()
	p, err := process.Default().Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var at []uint64
	var reader vma.Reader
	if err := reader.Pages(p, start, end, func(_ uint64, page vma.Page) error {
		if page.Frame() != 0 {
			at = append(at, page.Frame()*vma.PageSize)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(at)
	var runs []AddrRegion
	for _, a := range at {
		if n := len(runs); n > 0 && runs[n-1].End == a {
			runs[n-1].End += vma.PageSize
		} else {
			runs = append(runs, AddrRegion{a, a + vma.PageSize})
		}
	}
	return slices.DeleteFunc(runs, func(r AddrRegion) bool { return r.End-r.Start < least })
}

// inOrder puts regions together, the lowest first: the kernel takes them in no other order.
func inOrder(lists ...[]AddrRegion) []AddrRegion {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b AddrRegion) int { return cmp.Compare(a.Start, b.Start) })
	return all
}

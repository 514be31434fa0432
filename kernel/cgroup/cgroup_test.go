package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/lab"
)

const mountinfo = `22 1 0:21 / /proc rw,relatime - proc proc rw
30 25 0:26 / /sys/fs/cgroup/mem\040ory rw,relatime shared:9 - cgroup cgroup rw,memory
31 25 0:27 /below /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
bad line
`

func TestParseMountinfo(t *testing.T) {
	all, err := parseMountinfo(strings.NewReader(mountinfo))
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if h := all[0]; h.version != 1 || h.mount != "/sys/fs/cgroup/mem ory" || h.options[1] != "memory" {
		t.Errorf("%+v", h)
	}
	own, err := parseOwn(strings.NewReader("4:memory,x:/a/b\n0::/below/c\nbad\n"))
	if err != nil {
		t.Fatal(err)
	}
	if dir, ok := all[0].place(own, "memory"); !ok || dir != "/sys/fs/cgroup/mem ory/a/b" {
		t.Errorf("%q, %v", dir, ok)
	}
	if dir, ok := all[1].place(own, ""); !ok || dir != "/sys/fs/cgroup/unified/c" {
		t.Errorf("%q, %v", dir, ok)
	}
	if dir, ok := all[1].place(map[string]string{"": "/other"}, ""); ok {
		t.Errorf("a group out of sight is at %q", dir)
	}
	if _, ok := all[0].place(own, "cpu"); ok {
		t.Error("a hierarchy without an own group has a place")
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add(mountinfo)
	f.Fuzz(func(t *testing.T, text string) {
		all, _ := parseMountinfo(strings.NewReader(text))
		for _, h := range all {
			if h.version != 1 && h.version != 2 {
				t.Errorf("%+v", h)
			}
		}
	})
}

// A process in a group can't have more memory than the limit, the kernel counts that, and
// the group can be removed.
func TestLimit(t *testing.T) {
	const limit = 16 << 20
	lab.MemoryController(t)
	g, err := NewMemory(fmt.Sprintf("safevma-cgroup-test-%d", os.Getpid()), limit)
	if errors.Is(err, ErrNoController) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(g.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", g.Dir(), err)
		}
	}()
	for _, tt := range []struct{ bytes, killed int }{{limit / 4, 0}, {4 * limit, 1}} {
		t.Run(strconv.Itoa(tt.bytes), func(t *testing.T) {
			process := hog.Holds(t, int64(tt.bytes))
			if err := errors.Join(g.Add(process.PID), process.Go()); err != nil {
				t.Fatal(err)
			}
			if err := process.Ready(); (err != nil) != (tt.killed > 0) {
				t.Errorf("%d bytes of %d: %v", tt.bytes, limit, err)
			}
		})
		if n, err := Killed(g.Dir()); err != nil || n != tt.killed {
			t.Errorf("%d bytes of %d: %d killed, %v, want %d", tt.bytes, limit, n, err, tt.killed)
		}
	}
}

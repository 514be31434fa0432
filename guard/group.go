package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/kernel/cgroup"
)

// group is the cgroup of a program.
type group struct {
	*cgroup.Group
	min int64
}

const groupPrefix = "safevma-run-"

// newGroup makes the cgroup of a program, and removes those of launchers that were killed.
func newGroup(s *Settings) (*group, error) {
	cgroup.Sweep(func(name string) bool {
		pid, err := strconv.Atoi(strings.TrimPrefix(name, groupPrefix))
		return err == nil && strings.HasPrefix(name, groupPrefix) && syscall.Kill(pid, 0) == syscall.ESRCH
	})
	g, err := cgroup.NewProtected(groupPrefix+strconv.Itoa(os.Getpid()), s.MemoryMin)
	if err != nil {
		return nil, err
	}
	return &group{g, s.MemoryMin}, nil
}

// String implements fmt.Stringer.
func (g *group) String() string { return fmt.Sprintf("%s (version %d)", g.Dir(), g.Version()) }

// does says what the rule does here, where that is less than it can: "" where it is not.
func (g *group) does() string {
	switch {
	case g.Version() == 1:
		return "its memory is swapped as late as can be: groups of version 1 have no floor, and do not end as a whole"
	case g.min == 0:
		return "its memory is not swapped, and ends as a whole: no floor is declared (memory_min)"
	}
	return ""
}

// hold says what the kernel says of the group, and what it should say.
func (g *group) hold() (raw []string, ok bool, err error) {
	want := map[string]int64{"memory.swappiness": 0}
	if g.Version() == 2 {
		want = map[string]int64{"memory.min": g.min, "memory.swap.max": 0, "memory.oom.group": 1}
	}
	ok = true
	if g.min > 0 {
		least, err := g.Floor()
		if err != nil {
			return nil, false, err
		}
		raw = append(raw, fmt.Sprintf("memory.min of it and those above at least %d", least))
		ok = least < 0 || least >= g.min-pageSize && least > 0
	}
	for file, n := range want {
		got, err := g.Value(file)
		if err != nil {
			return raw, false, err
		}
		raw = append(raw, fmt.Sprintf("%s %d", file, got))
		// memory.min is in whole pages
		ok = ok && (got == n || file == "memory.min" && got >= n-pageSize && got > 0)
	}
	return raw, ok, nil
}

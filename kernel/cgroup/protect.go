package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrVersion1: hierarchies of version 1 have nothing like it.
var ErrVersion1 = errors.New("groups of version 1 can't do that")

// NewProtected makes a group whose memory is not swapped; of version 2 also one that ends as a whole
// when the kernel must end something in it, and whose first bytes of memory, so many as min says, are
// not reclaimed for others. Of version 1 swapping is discouraged as far as it goes there
// (memory.swappiness), and a minimum is an [ErrVersion1].
func NewProtected(name string, min int64) (*Group, error) {
	parent, version, err := memoryParent()
	if err != nil {
		return nil, err
	}
	if version == 1 && min > 0 {
		return nil, fmt.Errorf("memory.min: %w", ErrVersion1)
	}
	g, err := newGroup(parent, name, version)
	if err != nil {
		return nil, err
	}
	if err := g.protect(min); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

func (g *Group) protect(min int64) error {
	if g.version == 1 {
		return g.write("memory.swappiness", "0")
	}
	if err := ignore(g.write("memory.swap.max", "0"), fs.ErrNotExist); err != nil {
		return err
	}
	if err := g.write("memory.oom.group", "1"); err != nil {
		return err
	}
	return g.write("memory.min", strconv.FormatInt(min, 10))
}

// Value returns a number of a file of the group, as it is now. "max" is -1.
func (g *Group) Value(file string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, err
	}
	if s := strings.TrimSpace(string(text)); s != "max" {
		return strconv.ParseInt(s, 10, 64)
	}
	return -1, nil
}

// ErrOutOfSight: groups above one are not to be seen, as in a container.
var ErrOutOfSight = errors.New("the groups above are out of sight")

// Floor returns the least memory.min of a group of version 2 and of all above it, in bytes: what a group is
// promised is no more than what those above it are (memory.min of Documentation/admin-guide/cgroup-v2.rst).
// The root has none, and needs none. -1 is all. Groups beside it that are promised more than there is make
// it less. [ErrOutOfSight] where there are groups above that can't be asked.
func (g *Group) Floor() (int64, error) { return floor(g.dir) }

func floor(dir string) (int64, error) {
	least := int64(-1)
	for at := dir; ; at = filepath.Dir(at) {
		n, err := (&Group{dir: at}).Value("memory.min")
		switch {
		case err == nil:
			if n >= 0 && (least < 0 || n < least) {
				least = n
			}
		case !errors.Is(err, fs.ErrNotExist):
			return 0, err
		case at != dir && isRoot(at):
			return least, nil
		default:
			return 0, fmt.Errorf("%s: %w", at, ErrOutOfSight)
		}
	}
}

// isRoot reports whether a folder is the root of a hierarchy, which alone has processes and no events.
func isRoot(dir string) bool {
	_, procs := os.Stat(filepath.Join(dir, "cgroup.procs"))
	_, events := os.Stat(filepath.Join(dir, "cgroup.events"))
	return procs == nil && errors.Is(events, fs.ErrNotExist)
}

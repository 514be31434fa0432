package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Group is a group that this process made.
type Group struct {
	dir     string
	version int
}

// NewMemory makes a group with a limit of memory, in bytes, and without swap. A process in
// it that needs more is killed by the kernel.
func NewMemory(name string, limit int64) (*Group, error) {
	parent, version, err := memoryParent()
	if err != nil {
		return nil, err
	}
	g, err := newGroup(parent, name, version)
	if err != nil {
		return nil, err
	}
	if err := g.limit(limit); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// NewUnified makes a group in the hierarchy of version 2, whatever controllers it has: the
// kernel counts the pressure of every such group (Documentation/accounting/psi.rst).
func NewUnified(name string) (*Group, error) {
	parent, err := unifiedParent()
	if err != nil {
		return nil, err
	}
	return newGroup(parent, name, 2)
}

func newGroup(parent, name string, version int) (*Group, error) {
	g := &Group{filepath.Join(parent, name), version}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	return g, nil
}

// Dir returns the folder of the group.
func (g *Group) Dir() string { return g.dir }

// Version returns 1 or 2.
func (g *Group) Version() int { return g.version }

func (g *Group) limit(bytes int64) error {
	n := strconv.FormatInt(bytes, 10)
	if g.version == 1 {
		if err := g.write("memory.limit_in_bytes", n); err != nil {
			return err
		}
		// Memory and swap together; absent where the kernel does not count swap.
		return ignore(g.write("memory.memsw.limit_in_bytes", n), fs.ErrNotExist)
	}
	if err := g.write("memory.max", n); err != nil {
		return err
	}
	return ignore(g.write("memory.swap.max", "0"), fs.ErrNotExist)
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

func (g *Group) write(file, text string) error {
	f, err := os.OpenFile(filepath.Join(g.dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Add moves a process into the group; what it starts from then on is in it, too.
func (g *Group) Add(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// Killed returns how many processes of the memory group at dir the kernel has killed for
// its limit.
func Killed(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "memory.events"))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(dir, "memory.oom_control"))
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, n, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			return strconv.Atoi(n)
		}
	}
	return 0, fmt.Errorf("%s: no oom_kill", dir)
}

// removal is how long [Group.Remove] waits for processes that are ending.
const removal = 5 * time.Second

// Remove removes the group. Its processes must have ended or be about to.
func (g *Group) Remove() error {
	for deadline := time.Now().Add(removal); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Rmdir(g.dir)
		switch {
		case err == nil, errors.Is(err, syscall.ENOENT):
			return nil
		case !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline):
			return &os.PathError{Op: "rmdir", Path: g.dir, Err: err}
		}
	}
}

// Sweep removes groups beside those that this package would make now, by their names, if
// they are empty.
func Sweep(stale func(name string) bool) {
	memory, _, _ := memoryParent()
	unified, _ := unifiedParent()
	for _, parent := range []string{memory, unified} {
		if parent == "" {
			continue
		}
		entries, _ := os.ReadDir(parent)
		for _, e := range entries {
			if e.IsDir() && stale(e.Name()) {
				syscall.Rmdir(filepath.Join(parent, e.Name()))
			}
		}
	}
}

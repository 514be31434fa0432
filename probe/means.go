package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/kernel/cgroup"
)

// means is what a run provides for one probe, and takes away when its process is gone.
type means struct {
	folder string
	memory *cgroup.Group // limited
	psi    *cgroup.Group // counts the pressure of the same process, where that is another group
}

// prefix names what a run makes, so that what a killed run left is found by the next.
const prefix = "safevma-probe-"

func (s *session) name(p *Probe) string {
	return prefix + strconv.Itoa(os.Getpid()) + "-" + p.ID
}

func (s *session) provide(p *Probe) (_ *means, err error) {
	m := &means{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.remove())
		}
	}()
	if p.Needs.Folder {
		if m.folder, err = os.MkdirTemp("", s.name(p)+"-"); err != nil {
			return nil, err
		}
		if err := os.Chmod(m.folder, 0o711); err != nil {
			return nil, err
		}
	}
	if p.Needs.Cgroup == 0 {
		return m, nil
	}
	if m.memory, err = cgroup.NewMemory(s.name(p), p.Needs.Cgroup); err != nil {
		return nil, fmt.Errorf("an own memory cgroup: %w", err)
	}
	if m.memory.Version() == 2 {
		return m, nil
	}
	// Pressure is counted by groups of version 2 alone. Without one, there is none.
	m.psi, _ = cgroup.NewUnified(s.name(p))
	return m, nil
}

// enter puts a process into the groups.
func (m *means) enter(pid int) error {
	for _, g := range []*cgroup.Group{m.memory, m.psi} {
		if g != nil {
			if err := g.Add(pid); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *means) cgroup() string { return dir(m.memory) }

func (m *means) pressure() string {
	if m.psi != nil {
		return dir(m.psi)
	}
	if m.memory != nil && m.memory.Version() == 2 {
		return dir(m.memory)
	}
	return ""
}

func dir(g *cgroup.Group) string {
	if g == nil {
		return ""
	}
	return g.Dir()
}

func (m *means) remove() error {
	var problems []error
	for _, g := range []*cgroup.Group{m.memory, m.psi} {
		if g != nil {
			problems = append(problems, g.Remove())
		}
	}
	if m.folder != "" {
		problems = append(problems, os.RemoveAll(m.folder))
	}
	return errors.Join(problems...)
}

// sweep removes what runs left that were killed: folders and groups of processes that are
// no more.
func sweep() {
	stale := func(name string) bool {
		rest, ok := strings.CutPrefix(name, prefix)
		digits, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(digits)
		return ok && err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, folder := range folders {
		// The process may be one of another PID namespace, which has the same /tmp: no run takes
		// so long.
		info, err := os.Lstat(folder)
		if stale(filepath.Base(folder)) && err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(folder)
		}
	}
	cgroup.Sweep(stale)
}

package damon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
)

// Schema names the JSON form of a [Status].
const Schema = "safevma.damon/v1"

// Status is what watches here, and whose it is.
type Status struct {
	Schema string           `json:"schema"`
	Window guarantee.Window `json:"window"`
	// Interface and Modules are nil where Unseen says why.
	Interface *Interface `json:"interface"`
	Modules   *Modules   `json:"modules"`
	Threads   []Thread   `json:"threads"`
	// Holders are processes that have a file of the interface open now.
	Holders []Holder `json:"holders"`
	Unseen  []string `json:"unseen,omitempty"`

	ours bool // the record names what the interface has
}

// Owner is who made a kdamond.
type Owner string

// The owners. The kernel does not say which program wrote the interface.
const (
	// BySafevma: the record of a [Control] names all that the interface has.
	BySafevma   Owner = "safevma"
	ByInterface Owner = "interface"
	ByReclaim   Owner = "damon_reclaim"
	ByLRUSort   Owner = "damon_lru_sort"
	ByStat      Owner = "damon_stat"
	ByUnknown   Owner = "unknown"
)

// Thread is a kdamond that runs.
type Thread struct {
	PID      int    `json:"pid"`
	Name     string `json:"name"`
	Owner    Owner  `json:"owner"`
	Evidence string `json:"evidence"` // what says so
}

// Holder is a process with a file of the interface open.
type Holder struct {
	PID   int      `json:"pid"`
	Name  string   `json:"name"`
	Files []string `json:"files"` // below the directory of the interface
}

// Status reads the interface, the modules and the threads. It fails where there is no
// DAMON; what is hidden is in Unseen.
func (f FS) Status(proc process.FS) (*Status, error) {
	s := &Status{Schema: Schema, Threads: []Thread{}, Holders: []Holder{}}
	var err error
	if s.Interface, err = f.Read(); err != nil {
		if !errors.Is(err, ErrDenied) {
			return nil, err
		}
		s.unseen(err)
	} else if s.ours, err = f.ours(s.Interface.Kdamonds); err != nil {
		return nil, err
	}
	if s.Modules, err = f.Modules(); err != nil {
		if !errors.Is(err, ErrDenied) {
			return nil, err
		}
		s.unseen(err)
	}
	return s, s.processes(proc, f.Admin())
}

func (s *Status) unseen(err error) { s.Unseen = append(s.Unseen, guarantee.Text(err.Error())) }

// processes looks for threads of the kernel named kdamond, and for those who have files of
// the interface open.
func (s *Status) processes(proc process.FS, admin string) error {
	if real, err := filepath.EvalSymlinks(admin); err == nil {
		admin = real // as links to open files say it
	}
	pids, err := proc.PIDs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		p, err := proc.Open(pid)
		if err != nil {
			continue // it has ended
		}
		info, err := p.Glance()
		switch {
		case err == nil && info.KernelThread && strings.HasPrefix(info.Comm, "kdamond"):
			s.Threads = append(s.Threads, s.thread(pid, info.Comm))
		case err == nil && !info.KernelThread:
			if files := open(p, admin); len(files) > 0 {
				s.Holders = append(s.Holders, Holder{pid, guarantee.Text(info.Comm), files})
			}
		}
		p.Close()
	}
	return nil
}

// open lists what a process has open below a directory; what is hidden is not there.
func open(p *process.Process, dir string) []string {
	fds, err := p.List("fd")
	if err != nil {
		return nil
	}
	var files []string
	for _, fd := range fds {
		to, err := p.Readlink(filepath.Join("fd", fd))
		if name, ok := strings.CutPrefix(to, dir+"/"); err == nil && ok {
			files = append(files, guarantee.Text(name))
		}
	}
	return files
}

// thread says whose a thread is: by the number that the interface or a module shows, and
// for damon_stat, which shows none, by what is left.
func (s *Status) thread(pid int, name string) Thread {
	t := Thread{PID: pid, Name: name, Owner: ByUnknown, Evidence: "neither the interface nor a module names it"}
	if s.Interface == nil || s.Modules == nil {
		t.Evidence = "what would name it is hidden"
	}
	if s.Interface != nil {
		for n, k := range s.Interface.Kdamonds {
			if k.PID == pid {
				t.Owner, t.Evidence = ByInterface, fmt.Sprintf("kdamonds/%d/pid", n)
				if s.ours {
					t.Owner, t.Evidence = BySafevma, t.Evidence+", and the record of what safevma set up"
				}
				return t
			}
		}
	}
	m := s.Modules
	switch {
	case m == nil:
	case m.Reclaim != nil && value(m.Reclaim.KdamondPID) == pid:
		t.Owner, t.Evidence = ByReclaim, "damon_reclaim/parameters/kdamond_pid"
	case m.LRUSort != nil && value(m.LRUSort.KdamondPID) == pid:
		t.Owner, t.Evidence = ByLRUSort, "damon_lru_sort/parameters/kdamond_pid"
	case m.Stat != nil && m.Stat.Enabled && s.Interface != nil:
		t.Owner, t.Evidence = ByStat, "damon_stat/parameters/enabled, and nobody else names it"
	}
	return t
}

// WriteJSON writes the status.
func (s *Status) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

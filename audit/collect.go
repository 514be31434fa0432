package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// subject is one process, and what was read of it.
type subject struct {
	info     process.Info
	declared bool
	inScope  bool
	window   guarantee.Window
	// err says why its address space is not known: then what follows is empty.
	err error

	vmas        int
	mem         vma.Mem     // summed over the VMAs
	candidates  []candidate // VMAs that some rule must look at
	views       []mapping
	exeGone     bool // the program's file has lost its name
	dumpable    bool
	dumpableErr error

	mapped      []memfd.Mapping    // of memfds and of secret memory
	unheld      []memfd.Attributes // of those that it maps without holding them open
	descriptors []memfd.Descriptor
	running     *memfd.Attributes // the memfd that it runs
	fdErr       error             // why its descriptors are not all known

	process *process.Process // open while it is still needed, else nil
	dir     string           // its directory
}

// candidate is a VMA that passed the filter of a rule.
type candidate struct {
	vma     vma.VMA
	kind    rules.Kind
	deleted bool
	// What a rule needs beyond smaps: nil where it is not known, and the error says why.
	present    *pageCount
	presentErr error
	foreign    *foreignPages
	foreignErr error
}

// name returns the command name for messages.
func (s *subject) name() string { return guarantee.Text(s.info.Comm) }

// line prefixes a raw line with the process, for observations that span several.
func (s *subject) line(raw string) string {
	return "pid " + strconv.Itoa(s.info.PID) + " (" + s.name() + "): " + raw
}

// collector reads the processes of a host.
type collector struct{ *auditor }

// collect reads all processes, several at a time, and returns them in the order of
// their ids. A process that ended before it could be looked at is nil.
func (c *collector) collect(ctx context.Context) ([]*subject, error) {
	found := make([]*subject, len(c.pids))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(1, min(runtime.GOMAXPROCS(0), len(c.pids))) {
		wg.Go(func() {
			var r vma.Reader
			for i := range next {
				found[i] = c.read(&r, c.pids[i])
				mu.Lock()
				done++
				c.progress(done, len(c.pids))
				mu.Unlock()
			}
		})
	}
	var err error
	for i := range c.pids {
		if err = ctx.Err(); err != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return found, err
}

// rereads is how often a process is read again that became another program meanwhile.
const rereads = 3

var errExecuted = fmt.Errorf("%w: it executed another program while it was read", process.ErrGone)

// read reads one process.
func (c *collector) read(r *vma.Reader, pid int) *subject {
	for attempt := 1; ; attempt++ {
		p, err := c.Proc.Open(pid)
		if err != nil {
			return &subject{info: process.Info{PID: pid}, dir: c.Proc.Path(strconv.Itoa(pid)), err: err}
		}
		s := &subject{process: p, dir: p.Path(""), window: guarantee.Window{From: now()}}
		s.err = c.readPinned(r, s)
		s.window.To = now()
		if errors.Is(s.err, errExecuted) && attempt < rereads {
			p.Close()
			continue
		}
		if s.err != nil {
			s.forget()
		}
		if s.err != nil || !s.declared {
			p.Close()
			s.process = nil
		}
		return s
	}
}

// forget drops what was read of a process that could not be read to the end: half a
// process is no fact.
func (s *subject) forget() {
	s.vmas, s.mem, s.candidates, s.views, s.mapped = 0, vma.Mem{}, nil, nil, nil
	s.descriptors, s.unheld, s.running = nil, nil, nil
}

func (c *collector) readPinned(r *vma.Reader, s *subject) (err error) {
	if s.info, err = s.process.Info(); err != nil {
		return err
	}
	if s.info.KernelThread {
		return nil
	}
	s.declared = anySelects(c.Declared, &s.info)
	s.inScope = len(c.Scope) == 0 || anySelects(c.Scope, &s.info)
	if err := c.readSpace(r, s); err != nil {
		return err
	}
	c.readDescriptors(s)
	s.readDumpable()
	s.exeGone = s.info.Exe != "" && exeDeleted(s.process, s.info.Exe)
	after, err := s.process.Info()
	if err != nil {
		return err
	}
	if after.Exe != s.info.Exe {
		return errExecuted
	}
	return nil
}

func (c *collector) readSpace(r *vma.Reader, s *subject) error {
	read := r.Maps // of processes that are only read for what they share with others
	if s.inScope {
		read = r.Smaps
	}
	if err := read(s.process, func(v *vma.VMA) error {
		c.add(s, v)
		return nil
	}); err != nil {
		return err
	}
	for i := range s.candidates {
		c.look(r, s, &s.candidates[i])
	}
	return nil
}

// add takes in one VMA.
func (c *collector) add(s *subject, v *vma.VMA) {
	kind := KindOf(v, &c.devices)
	if kind == rules.KindVsyscall {
		return // a page of the kernel, the same in every process
	}
	s.vmas++
	s.mem.Rss += v.Mem.Rss
	s.mem.Locked += v.Mem.Locked
	if joins(v) {
		s.views = append(s.views, newMapping(s, v, kind))
	}
	if c.devices.On(v.Dev.Major, v.Dev.Minor) {
		s.mapped = append(s.mapped, memfd.Mapping{Start: v.Start, End: v.End, Perms: v.Perm.String(),
			Major: v.Dev.Major, Minor: v.Dev.Minor, Inode: v.Inode, Path: string(v.Name)})
	}
	if s.inScope && c.wanted(s, v, kind) {
		s.candidates = append(s.candidates, candidate{vma: v.Clone(), kind: kind})
	}
}

// wanted reports whether some rule looks at the VMA.
func (c *collector) wanted(s *subject, v *vma.VMA, kind rules.Kind) bool {
	for _, r := range c.vmaRules {
		if (s.declared || !r.Declared) && r.MatchVMA(v.Perm, v.Flags, kind) {
			return true
		}
	}
	return false
}

// look finds out what of a candidate smaps does not say, while the process is pinned.
func (c *collector) look(r *vma.Reader, s *subject, v *candidate) {
	v.deleted = deleted(s.process, &v.vma)
	if slices.ContainsFunc(c.pageRules, func(rule *rules.Rule) bool { return rule.MatchVMA(v.vma.Perm, v.vma.Flags, v.kind) }) {
		if v.present, v.presentErr = countPages(r, s.process, &v.vma); v.presentErr != nil {
			v.present = nil
		}
	}
}

// readDescriptors reads which memfds the process holds, maps and runs.
func (c *collector) readDescriptors(s *subject) {
	held := map[memfd.ID]bool{}
	s.fdErr = memfd.Holders(s.process, c.devices, func(d memfd.Descriptor) error {
		held[d.ID] = true
		s.descriptors = append(s.descriptors, d)
		return nil
	})
	if a, ok, err := memfd.Executing(s.process, c.devices); ok {
		s.running = &a
	} else if s.fdErr == nil {
		s.fdErr = err
	}
	for _, m := range s.mapped {
		id := memfd.ID{Device: memfd.Device{Major: m.Major, Minor: m.Minor}, Inode: m.Inode}
		if held[id] {
			continue
		}
		held[id] = true
		if a, ok, err := memfd.Mapped(s.process, c.devices, m.Start, m.End); ok && err == nil {
			s.unheld = append(s.unheld, a)
		}
	}
}

// headerLine returns the first line of a raw record, fit for a report.
func headerLine(raw []byte) string {
	line, _, _ := bytes.Cut(raw, []byte{'\n'})
	return guarantee.Text(line)
}

// selfPID is the audit itself.
var selfPID = os.Getpid()

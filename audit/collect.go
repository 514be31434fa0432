package audit

import (
	"bytes"
	"context"
	"errors"
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
	exeGone     bool  // the program's file has lost its name
	exeErr      error // why that, and running, are not known
	dumpable    bool
	dumpableErr error

	mapped      []memfd.Mapping    // of memfds and of secret memory
	unheld      []memfd.Attributes // of those that it maps without holding them open
	descriptors []memfd.Descriptor
	running     *memfd.Attributes // the memfd that it runs
	fdErr       error             // why its descriptors are not all known

	process *process.Process // open while it is still needed, else nil
	dir     string           // its directory
	ipc     uint64           // its IPC namespace, where it was needed
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

// collect reads processes, several at a time, and returns them in the order of their ids.
// Where the context ends it, those that were not reached are left out.
func (c *collector) collect(ctx context.Context, pids []int) ([]*subject, error) {
	found := make([]*subject, len(pids))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(1, min(runtime.GOMAXPROCS(0), len(pids))) {
		wg.Go(func() {
			var r vma.Reader
			for i := range next {
				found[i] = c.read(&r, pids[i])
				mu.Lock()
				done++
				c.progress(done, len(pids))
				mu.Unlock()
			}
		})
	}
	var err error
	for i := range pids {
		if err = ctx.Err(); err != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return slices.DeleteFunc(found, func(s *subject) bool { return s == nil }), err
}

// rereads is how often a process is read again that became another program meanwhile.
const rereads = 4

// errRestless: the process lives, and could not be read all the same. It is not gone.
var errRestless = errors.New("it executed another program each time that it was read")

// read reads one process.
func (c *collector) read(r *vma.Reader, pid int) *subject {
	p, err := c.Proc.Open(pid)
	if err != nil {
		s := c.newSubject(pid)
		s.err = err
		return s
	}
	var s *subject
	for range rereads {
		s = c.newSubject(pid)
		s.process, s.window.From = p, now()
		var changed bool
		changed, s.err = c.readPinned(r, s)
		s.window.To = now()
		if changed {
			s.err = errRestless
			continue
		}
		break
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

// newSubject is a process of which nothing is known yet. Whether it is in scope can be
// told by its id alone; where that takes more, what can't be told is in no scope.
func (c *collector) newSubject(pid int) *subject {
	s := &subject{info: process.Info{PID: pid}, dir: c.Proc.Path(strconv.Itoa(pid)), exeErr: errNotRead, dumpableErr: errNotRead}
	s.choose(c.Config)
	return s
}

func (s *subject) choose(config Config) {
	s.declared = anySelects(config.Declared, &s.info)
	s.inScope = len(config.Scope) == 0 || anySelects(config.Scope, &s.info)
}

var errNotRead = errors.New("not read")

// forget drops what was read of the memory of a process that could not be read to the
// end: half an address space is no fact.
func (s *subject) forget() {
	s.vmas, s.mem, s.candidates, s.views, s.mapped = 0, vma.Mem{}, nil, nil, nil
	s.descriptors, s.unheld = nil, nil
}

// readPinned reads who the process is, its memory, and who it is once more. changed says
// that it became another program meanwhile, so that what was read is of two.
func (c *collector) readPinned(r *vma.Reader, s *subject) (changed bool, err error) {
	if s.info, err = s.process.Info(); err != nil {
		s.info.PID = s.process.PID
		return false, err
	}
	if s.info.KernelThread {
		return false, nil
	}
	s.choose(c.Config)
	s.readIdentity(c.devices)
	err = c.readSpace(r, s)
	if err == nil {
		c.readDescriptors(s)
	}
	after, afterErr := s.process.Glance()
	if afterErr != nil {
		return false, afterErr
	}
	if after.Exe != s.info.Exe || after.StackStart != s.info.StackStart {
		return true, err
	}
	// An address space that went away, of a process that is still there.
	gone := errors.Is(err, process.ErrGone) || errors.Is(err, vma.ErrNoAddressSpace)
	if !gone {
		return false, err
	}
	_, lives := s.process.OtherThread()
	return lives || !after.Zombie() && !after.Exiting, err
}

// readIdentity reads what rules ask of a process besides [process.Info].
func (s *subject) readIdentity(devices memfd.Devices) {
	s.readDumpable()
	if s.info.Exe == "" {
		return
	}
	a, ok, err := memfd.Executing(s.process, devices)
	if s.exeErr = err; err != nil {
		return
	}
	if ok {
		s.running = &a
	}
	s.exeGone = exeDeleted(s.process, s.info.Exe)
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

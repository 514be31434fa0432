package memfd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Descriptor is one open file descriptor that is a memfd or secret memory.
type Descriptor struct {
	Attributes
	FD int
	// Thread is the thread in whose table of descriptors it is: the process itself, if
	// the thread did not unshare its table.
	Thread int
	// What fdinfo says, where InfoErr is nil; else it is unknown, for that reason.
	Access      Access
	CloseOnExec bool
	InfoErr     error
}

// Holders calls fn for every descriptor of the process that is a memfd or secret memory,
// in the order of the numbers, the process's own table first and then those of threads
// that do not share it: what a thread has under the same number as another is reported
// once. It takes PTRACE_MODE_READ of the process, and ends early with
// [process.ErrDenied] without it, with [process.ErrGone] where the process ended
// meanwhile, and with the error of fn. [ErrDoubtful] comes last: all others were reported,
// but some descriptor may be of a kind that could not be learned. On nil, every descriptor that was open all the
// time was reported; one that was opened, closed or moved meanwhile perhaps was not.
//
// The process notices nothing of it. Its files are looked at by O_PATH, which opens
// nothing. Seals are read from a copy of the descriptor (pidfd_getfd(2), which takes
// PTRACE_MODE_ATTACH; where Yama refuses that, it may log it, once for each process).
// Where there is no copy the file is opened once more, for reading, which the permission
// bits of the memfd must allow; only then would a lease on it be broken.
//
// Threads that share a table are told by kcmp(2). Where that is refused, or built out,
// every thread's table is read: right, but slow for processes with many threads.
func Holders(p *process.Process, dev Devices, fn func(Descriptor) error) error {
	s := scan{p: p, dev: &dev, fn: fn}
	defer s.close()
	err := s.all()
	if s.stopped {
		return err
	}
	// The kernel takes the address space from a thread before its descriptors, and a
	// thread without descriptors has an empty list: only a program that is still there
	// afterwards shows that the list was whole.
	if (err == nil || errors.Is(err, process.ErrDenied)) && gone(p) {
		return fmt.Errorf("%s: %w", p.Path("fd"), process.ErrGone)
	}
	return cmp.Or(err, s.doubt)
}

// scan is one run of Holders.
type scan struct {
	p       *process.Process
	dev     *Devices
	fn      func(Descriptor) error
	stopped bool // by fn

	doubt error // the first descriptor of which it is not known what it is

	pidfd    *os.File
	pidfdErr error // why descriptors of this process can't be copied

	// seen are the descriptors of tables that were read: threads of which it is not
	// known whether they share one say the same again.
	seen map[seenFD]bool
}

type seenFD struct {
	fd int
	id ID
}

func (s *scan) close() {
	if s.pidfd != nil {
		s.pidfd.Close()
	}
}

// all reads the table of the first thread, and every other table once.
func (s *scan) all() error {
	tids, err := threads(s.p)
	if err != nil {
		return err
	}
	err = s.table("fd", s.p.PID)
	if errors.Is(err, process.ErrDenied) && ended(s.p, "") {
		err = nil // the first thread has ended, others may live; a zombie's list is root's
	}
	if err != nil {
		return err
	}
	same := s.sharing(len(tids))
	read := []int{s.p.PID}
	for _, tid := range tids {
		if slices.ContainsFunc(read, func(other int) bool { return same(other, tid) }) {
			continue
		}
		if err := s.table("task/"+strconv.Itoa(tid)+"/fd", tid); err != nil && !notThere(err) {
			return err
		}
		read = append(read, tid)
	}
	return nil
}

// sharing returns how to tell whether two threads share one table. kcmp takes ids of the
// reader's own PID namespace: it is asked only where those are the ids of this /proc.
func (s *scan) sharing(threads int) func(tid1, tid2 int) bool {
	if threads > 1 {
		self, err := os.Readlink(s.p.Path("../self"))
		if err == nil && self == strconv.Itoa(os.Getpid()) {
			return func(a, b int) bool {
				same, err := sys.SameFiles(a, b)
				return a == b || err == nil && same
			}
		}
	}
	return func(a, b int) bool { return a == b }
}

// table reports the descriptors in one directory.
func (s *scan) table(dir string, tid int) error {
	d, err := s.p.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return s.p.Wrap(dir, err)
	}
	fds, err := numbers(names)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.p.Path(dir), process.ErrMalformed, err)
	}
	for _, fd := range fds {
		name := strconv.Itoa(fd)
		path, err := sys.ReadlinkAt(int(d.Fd()), name)
		if notThere(err) {
			continue // closed meanwhile
		}
		if err != nil {
			return s.p.Wrap(dir+"/"+name, err)
		}
		if candidate(path) {
			if err := s.candidate(d, dir, fd, tid); err != nil {
				return err
			}
		}
	}
	return nil
}

// candidate reports one descriptor if it is what is looked for.
func (s *scan) candidate(d *os.File, dir string, fd, tid int) error {
	name := strconv.Itoa(fd)
	f, err := openLink(d, name)
	if notThere(err) {
		if _, again := sys.ReadlinkAt(int(d.Fd()), name); notThere(again) {
			return nil // closed meanwhile
		}
		return fmt.Errorf("%s: %w: the link leads nowhere, as in a copy of /proc", s.p.Path(dir+"/"+name), process.ErrMalformed)
	}
	if err != nil {
		return s.p.Wrap(dir+"/"+name, err)
	}
	defer f.Close()
	attr, ok, err := describe(f, s.dev, func() (*os.File, error) { return s.copy(fd) })
	if errors.Is(err, ErrDoubtful) {
		s.doubt = cmp.Or(s.doubt, fmt.Errorf("%s: %w", s.p.Path(dir+"/"+name), err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.p.Path(dir+"/"+name), err)
	}
	key := seenFD{fd, attr.ID}
	if !ok || s.seen[key] {
		return nil
	}
	if s.seen == nil {
		s.seen = make(map[seenFD]bool)
	}
	s.seen[key] = true
	desc := Descriptor{Attributes: attr, FD: fd, Thread: tid}
	info, err := readInfo(s.p, dir+"info/"+name, attr.ID.Inode)
	desc.Access, desc.CloseOnExec, desc.InfoErr = info.access, info.closeOnExec, err
	if err := s.fn(desc); err != nil {
		s.stopped = true
		return err
	}
	return nil
}

// copy copies a descriptor of the process. It may be another one than was asked for,
// and even another process's, if that got the id meanwhile: the caller compares the
// inode. A refusal is remembered, since asking again is logged again.
func (s *scan) copy(fd int) (*os.File, error) {
	if s.pidfd == nil && s.pidfdErr == nil {
		s.pidfd, s.pidfdErr = sys.PidfdOpen(s.p.PID)
	}
	if s.pidfdErr != nil {
		return nil, s.pidfdErr
	}
	f, err := sys.PidfdGetfd(s.pidfd, fd)
	if err != nil && errors.Is(process.Classify(err), process.ErrDenied) {
		s.pidfdErr = err
	}
	return f, err
}

// openLink opens what a link in a directory of /proc stands for, without opening the
// file itself.
func openLink(dir *os.File, name string) (*os.File, error) {
	return sys.OpenAt(int(dir.Fd()), name, sys.OPath)
}

// threads returns the ids of the threads of a process in ascending order.
func threads(p *process.Process) ([]int, error) {
	names, err := p.List("task")
	if err != nil {
		return nil, err
	}
	tids, err := numbers(names)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", p.Path("task"), process.ErrMalformed, err)
	}
	return tids, nil
}

func numbers(names []string) ([]int, error) {
	ns := make([]int, 0, len(names))
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a number", name)
		}
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns, nil
}

// gone reports whether no thread of the process has an address space any more.
func gone(p *process.Process) bool {
	_, ok := alive(p)
	return !ok
}

// alive returns the directory of a thread that still has an address space: "" for the
// first thread, "task/TID/" for another. Kernel threads, which never had one, count as
// alive.
func alive(p *process.Process) (dir string, ok bool) {
	if !ended(p, "") {
		return "", true
	}
	tids, err := threads(p)
	if err != nil {
		return "", false
	}
	for _, tid := range tids {
		dir := "task/" + strconv.Itoa(tid) + "/"
		if tid != p.PID && !ended(p, dir) {
			return dir, true
		}
	}
	return "", false
}

// ended reports whether a thread has no address space any more: dir is "" for the
// first thread, or "task/TID/".
func ended(p *process.Process, dir string) bool {
	_, err := p.Readlink(dir + "exe")
	if err == nil {
		return false
	}
	if dir != "" {
		return errors.Is(err, process.ErrGone)
	}
	info, infoErr := p.Info()
	switch {
	case infoErr != nil:
		return errors.Is(infoErr, process.ErrGone)
	case info.KernelThread:
		return false
	}
	return info.Zombie() || errors.Is(err, process.ErrGone)
}

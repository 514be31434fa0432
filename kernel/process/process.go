// Package process gives typed access to the directories below /proc: which
// processes there are, and who each one is.
//
// A [Process] is pinned: it holds its /proc/PID directory open, and the kernel
// answers through that directory for that one process or with ESRCH, even when the
// PID is in use again. So everything that is read through one Process belongs to one
// process; only the program that it runs can change (execve). [Process.Info] says
// which one it was.
//
// The root of the file system is injectable ([At]), for tests and for trees that
// were copied from elsewhere. Errors are [ErrGone], [ErrDenied], or carry the text
// that made no sense ([ErrMalformed]).
//
// An FS may be used by several goroutines; a Process by one at a time.
// Source: proc(5), proc_pid(5).
package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Errors that a caller acts on.
var (
	// ErrGone: the process has ended, or is ending and has no memory any more.
	ErrGone = errors.New("process is gone")
	// ErrDenied: the kernel does not let this reader see it (ptrace(2),
	// PTRACE_MODE_READ).
	ErrDenied = errors.New("permission denied")
	// ErrMalformed: the kernel's text is not what its documentation says.
	ErrMalformed = errors.New("malformed")
)

// FS is a proc file system.
type FS struct{ root string }

// Default is the running kernel's, at /proc.
func Default() FS { return FS{root: "/proc"} }

// At is a proc file system, or a copy of one, at another place.
func At(root string) FS { return FS{root: filepath.Clean(root)} }

// Root returns the path of the file system.
func (f FS) Root() string { return f.root }

// Live reports whether this is the running kernel's proc file system, and not a
// copy: only then can a reading be controlled by an experiment.
func (f FS) Live() bool {
	root, err := os.Open(f.root)
	if err != nil {
		return false
	}
	defer root.Close()
	magic, err := sys.FileSystem(root)
	return err == nil && magic == sys.MagicProc
}

// Path returns the path of a file of the file system, for messages.
func (f FS) Path(elem ...string) string { return filepath.Join(append([]string{f.root}, elem...)...) }

// PIDs returns the ids of all processes (thread group leaders), in ascending order.
func (f FS) PIDs() ([]int, error) {
	dir, err := os.Open(f.root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return sorted(pids), nil
}

// Process is one pinned process. Close it.
type Process struct {
	PID     int
	path    string
	dir     *os.File
	scratch []byte // of what is parsed
}

// Open pins the process with the given id.
func (f FS) Open(pid int) (*Process, error) {
	path := f.Path(strconv.Itoa(pid))
	dir, err := sys.OpenAt(sys.AtFDCWD, path, sys.OPath|sys.ODirectory)
	if err != nil {
		return nil, Classify(err)
	}
	return &Process{PID: pid, path: path, dir: dir}, nil
}

// Self pins this process. The file system may be of another PID namespace, where os.Getpid is the id
// of somebody else.
func (f FS) Self() (*Process, error) {
	link, err := os.Readlink(f.Path("self"))
	if err != nil {
		return nil, Classify(err)
	}
	pid, err := strconv.Atoi(link)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path("self"), err)
	}
	return f.Open(pid)
}

// Close lets the process go.
func (p *Process) Close() error { return p.dir.Close() }

// Path returns the path of a file of the process, for messages and evidence.
func (p *Process) Path(name string) string { return filepath.Join(p.path, name) }

// Open opens a file of the process for reading, such as "maps".
func (p *Process) Open(name string) (*os.File, error) {
	f, err := sys.OpenAt(int(p.dir.Fd()), name, sys.ORdonly)
	if errors.Is(err, syscall.ENOENT) && name != "stat" {
		if _, there := sys.StatAt(int(p.dir.Fd()), "stat"); there == nil {
			return nil, err // the file is missing, not the process
		}
	}
	if err != nil {
		return nil, p.Wrap(name, err)
	}
	return f, nil
}

// OtherThread returns the directory of a thread that runs on when the first one has
// ended, such as "task/813". The process then looks like a zombie: its own maps, smaps
// and pagemap are empty, while those of the other threads show the memory that it still
// has. It is false where the first thread lives, or none does.
func (p *Process) OtherThread() (dir string, ok bool) {
	var info Info
	if err := p.parse("stat", info.parseStat); err != nil || !info.Zombie() {
		return "", false
	}
	threads, err := p.List("task")
	if err != nil {
		return "", false
	}
	for _, tid := range threads {
		if tid != strconv.Itoa(p.PID) {
			return filepath.Join("task", tid), true
		}
	}
	return "", false
}

// Readlink returns the target of a link of the process, such as "exe".
func (p *Process) Readlink(name string) (string, error) {
	target, err := sys.ReadlinkAt(int(p.dir.Fd()), name)
	if err != nil {
		return "", p.Wrap(name, err)
	}
	return target, nil
}

// Stat returns the attributes of the file that a link of the process leads to,
// such as "fd/3" or "exe", whether or not it has a name any more.
func (p *Process) Stat(name string) (sys.FileStat, error) {
	st, err := sys.StatAt(int(p.dir.Fd()), name)
	if err != nil {
		return st, p.Wrap(name, err)
	}
	return st, nil
}

// List returns the names in a directory of the process, such as "fd".
func (p *Process) List(name string) ([]string, error) {
	dir, err := sys.OpenAt(int(p.dir.Fd()), name, sys.ORdonly|sys.ODirectory)
	if err != nil {
		return nil, p.Wrap(name, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, p.Wrap(name, err)
	}
	return names, nil
}

// Wrap names the file and the process in an error of theirs, and classifies it.
func (p *Process) Wrap(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return Classify(&fs.PathError{Op: "read", Path: p.Path(name), Err: err})
}

// Classify makes [ErrGone] or [ErrDenied] of the errnos that mean so, and keeps the
// error.
func Classify(err error) error {
	switch {
	case err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrDenied):
		return err
	case errors.Is(err, syscall.ESRCH), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: %w", ErrGone, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}

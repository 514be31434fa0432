package guard

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// watcher answers for executable mappings of files, and for what executes one, at which a filter can't look:
// it sees numbers.
type watcher struct {
	listener *os.File
	mounts   map[uint64]bool // of the program, nil where any will do ([order.mountIDs])
}

// serve answers until nobody is left whose calls are watched.
func (w *watcher) serve() {
	for {
		n, err := sys.ReadNotice(w.listener)
		switch err {
		case nil:
		case syscall.ENOENT: // the caller has gone again
			continue
		default:
			return
		}
		errno := syscall.Errno(0)
		if uint32(n.Call) == sys.CallNumbers["mmap"] {
			errno = w.judge(n.PID, int32(n.Args[4]))
		} else {
			errno = w.judgeProgram(n.PID)
		}
		if errno == 0 && !sys.NoticeValid(w.listener, n.ID) {
			continue
		}
		_ = sys.Answer(w.listener, n.ID, int32(errno)) // ENOENT: the caller has gone
	}
}

// judge looks at a descriptor of the caller. A file that has no name, as memfds have none and what is
// unlinked, is code that nobody can look at; one on a mount of others is under none of the rules about
// mounts. What can't be looked at is refused.
func (w *watcher) judge(tid uint32, fd int32) syscall.Errno {
	if fd < 0 {
		return 0 // the call fails by itself
	}
	f, err := descriptor(int(tid), int(fd))
	if errors.Is(err, syscall.EBADF) {
		return 0
	}
	if err != nil {
		return syscall.EACCES
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || nameless(info) || w.foreign(sys.MountID(f)) {
		return syscall.EACCES
	}
	return 0
}

// foreign reports whether a mount is none of the program's.
func (w *watcher) foreign(mount uint64, err error) bool {
	return w.mounts != nil && (err != nil || !w.mounts[mount])
}

// judgeProgram refuses to execute anything to who holds a file without a name that can be executed, which is
// a program that nobody can look at: a memfd that came from outside (unix(7), SCM_RIGHTS), as the setting of
// the namespace is about those that are made inside. So it does to who holds a program, or a folder, on a
// mount of others, or is in one. Which file it is to be is in the memory of the caller, who may change it
// after it was looked at.
func (w *watcher) judgeProgram(tid uint32) syscall.Errno {
	line, err := readLine(strconv.Itoa(int(tid)), "status", "FDSize:")
	if errors.Is(err, os.ErrNotExist) {
		return 0 // it has gone
	}
	pidfd, e := pidfdOf(int(tid))
	if errors.Is(e, syscall.ESRCH) {
		return 0
	}
	if err != nil || e != nil {
		return syscall.EACCES
	}
	defer pidfd.Close()
	where := fmt.Sprintf("/proc/%d/cwd", tid)
	if w.foreign(sys.MountIDAt(where)) {
		return syscall.EACCES
	}
	size := 0
	if _, err := fmt.Sscanf(line, "FDSize: %d", &size); err != nil {
		return syscall.EACCES
	}
	for fd := range size {
		if f, err := sys.PidfdGetfd(pidfd, fd); err == nil {
			bad := w.leadsAround(f)
			f.Close()
			if bad {
				return syscall.EACCES
			}
		} else if !errors.Is(err, syscall.EBADF) {
			return syscall.EACCES
		}
	}
	return 0
}

// leadsAround reports whether a file is a program, or leads to some, under no rule.
func (w *watcher) leadsAround(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	program := info.Mode().IsRegular() && info.Mode()&0o111 != 0
	if !program && !info.IsDir() {
		return false
	}
	return program && nameless(info) || w.foreign(sys.MountID(f))
}

// nameless: a memfd, or what was unlinked.
func nameless(info os.FileInfo) bool {
	return info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink == 0
}

// descriptor copies a descriptor of a thread.
func descriptor(tid, fd int) (*os.File, error) {
	pidfd, err := pidfdOf(tid)
	if err != nil {
		return nil, err
	}
	defer pidfd.Close()
	return sys.PidfdGetfd(pidfd, fd)
}

// pidfdOf opens a thread. Before Linux 6.9 it opens its process, whose descriptors the thread may have
// stopped to share.
func pidfdOf(tid int) (*os.File, error) {
	pidfd, err := sys.PidfdOpenThread(tid)
	if errors.Is(err, syscall.EINVAL) {
		var pid int
		if pid, err = processOf(tid); err == nil {
			pidfd, err = sys.PidfdOpen(pid)
		}
	}
	return pidfd, err
}

// processOf returns the process of a thread.
func processOf(tid int) (pid int, err error) {
	line, err := readLine(strconv.Itoa(tid), "status", "Tgid:")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(line, "Tgid: %d", &pid)
	return pid, err
}

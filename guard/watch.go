package guard

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// watcher answers for executable mappings of files, at which a filter can't look: it sees numbers.
type watcher struct{ listener *os.File }

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
		errno := w.judge(n.PID, int32(n.Args[4]))
		if errno == 0 && !sys.NoticeValid(w.listener, n.ID) {
			continue
		}
		_ = sys.Answer(w.listener, n.ID, int32(errno)) // ENOENT: the caller has gone
	}
}

// judge looks at a descriptor of the caller. A file that has no name, as memfds have none and what is
// unlinked, is code that nobody can look at.
func (w *watcher) judge(tid uint32, fd int32) syscall.Errno {
	if fd < 0 {
		return 0 // the call fails by itself
	}
	name := fmt.Sprintf("/proc/%d/fd/%d", tid, fd)
	var s syscall.Stat_t
	if err := syscall.Stat(name, &s); err == syscall.ENOENT {
		return 0 // there is no such descriptor
	} else if err != nil {
		return syscall.EACCES
	}
	link, err := os.Readlink(name)
	if err != nil || s.Nlink == 0 || strings.HasPrefix(link, "/memfd:") || s.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return syscall.EACCES
	}
	return 0
}

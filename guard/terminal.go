package guard

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// terminal is the one that this process was started from, in the foreground: it is lent to the program,
// so that its keys send the program signals, and not this process too.
type terminal struct {
	file *os.File // nil where there is none, or it is somebody else's
	own  int      // process group
}

func openTerminal() terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return terminal{}
	}
	own := syscall.Getpgrp()
	if group, err := sys.TerminalGroup(f); err != nil || group != own {
		f.Close()
		return terminal{}
	}
	signal.Ignore(syscall.SIGTTOU) // whoever takes the terminal back is in the background
	return terminal{f, own}
}

// give lends the terminal to the process group of the program, which its pid names.
func (t *terminal) give(pid int) {
	if t.file != nil && pid != 0 {
		_ = sys.Foreground(t.file, pid) // EPERM: the group has ended
	}
}

// back takes it back.
func (t *terminal) back() {
	if t.file != nil {
		_ = sys.Foreground(t.file, t.own)
	}
}

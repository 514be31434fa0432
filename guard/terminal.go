package guard

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// terminal is the one that this process was started from. As long as this process is in the foreground it
// is lent to the program, so that its keys send the program signals, and not this process too.
type terminal struct {
	file *os.File // nil where there is none
	own  int      // process group
}

func openTerminal() terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return terminal{}
	}
	signal.Ignore(syscall.SIGTTOU) // whoever takes the terminal back is in the background
	return terminal{f, syscall.Getpgrp()}
}

// give lends the terminal to the process group of the program, which its pid names, and reports whether
// that has it now. One that somebody else has stays theirs.
func (t *terminal) give(pid int) bool {
	if t.file == nil || pid == 0 {
		return false
	}
	group, err := sys.TerminalGroup(t.file)
	if err != nil || group != t.own {
		return err == nil && group == pid
	}
	return sys.Foreground(t.file, pid) == nil // EPERM: the group has ended
}

// back takes it back from the program.
func (t *terminal) back(pid int) {
	if t.file == nil || pid == 0 {
		return
	}
	if group, err := sys.TerminalGroup(t.file); err == nil && group == pid {
		_ = sys.Foreground(t.file, t.own)
	}
}

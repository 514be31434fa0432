package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Terminal is the settings of a terminal (termios(3)).
type Terminal struct{ settings unix.Termios }

// GetTerminal returns the settings. ENOTTY says that f is no terminal.
func GetTerminal(f *os.File) (Terminal, error) {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return Terminal{}, os.NewSyscallError("ioctl(TCGETS)", err)
	}
	return Terminal{*t}, nil
}

// SetTerminal changes the settings after what was written is out, and drops what was typed and not
// read.
func SetTerminal(f *os.File, t Terminal) error {
	return os.NewSyscallError("ioctl(TCSETSF)", unix.IoctlSetTermios(int(f.Fd()), unix.TCSETSF, &t.settings))
}

// Quiet returns the settings with whole lines, signals from keys but for the one that stops, and no
// echo but that of the end of a line.
func (t Terminal) Quiet() Terminal {
	t.settings.Lflag &^= unix.ECHO
	t.settings.Lflag |= unix.ICANON | unix.ISIG | unix.ECHONL
	t.settings.Iflag |= unix.ICRNL
	t.settings.Cc[unix.VSUSP] = 0 // _POSIX_VDISABLE
	return t
}

// Echoes says whether what is typed is shown.
func (t Terminal) Echoes() bool { return t.settings.Lflag&unix.ECHO != 0 }

// OpenPTY opens a new pseudo-terminal (pts(4)): the side of who types and reads the screen, and that
// of the program.
func OpenPTY() (user, program *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	user = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		user.Close()
		return nil, nil, os.NewSyscallError("ioctl(TIOCSPTLCK)", err)
	}
	// The other side, by no name, which a mount namespace may hide (Linux 4.13).
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		user.Close()
		return nil, nil, os.NewSyscallError("ioctl(TIOCGPTPEER)", errno)
	}
	return user, os.NewFile(peer, "pty"), nil
}

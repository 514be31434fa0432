package guard

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Variables with which a service manager tells a process what it was started with, or is to tell it
// (sd_listen_fds(3), sd_watchdog_enabled(3)). They are about the process whose number they have.
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
	listenID    = "LISTEN_PIDFDID" // of LISTEN_PID, by another number: the program would have to know its own
	watchdogPID = "WATCHDOG_PID"
)

// mostListen is how many descriptors a service manager may pass.
const mostListen = 1024

// Activated returns the descriptors that a service manager passed to this process (LISTEN_PID and
// LISTEN_FDS), nil where there are none. They are for [Config.Keep]: the program gets them by the same
// numbers, and the variables say its own process number.
func Activated() ([]*os.File, error) {
	if os.Getenv(listenPID) != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv(listenFDs))
	if err != nil || n < 0 || n > mostListen {
		return nil, fmt.Errorf("%s=%q: want a number of descriptors, at most %d", listenFDs, os.Getenv(listenFDs), mostListen)
	}
	all := inherited(n)
	for _, f := range all { // those that the runtime of this program has opened since end with it
		if own, err := sys.IsCloseOnExec(f); err != nil || own {
			return nil, fmt.Errorf("%s=%d, but %s was not passed to this process", listenFDs, n, f.Name())
		}
	}
	return all, nil
}

// inherited are descriptors from the first one on.
func inherited(n int) (all []*os.File) {
	for i := range uintptr(n) {
		all = append(all, os.NewFile(firstFD+i, fmt.Sprintf("descriptor %d", firstFD+i)))
	}
	return all
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // a copy: the program has its own
	}
}

// environment is that of the program: what says something of this process says it of the program later
// ([forProcess]), and what is about neither is not there.
func (l *launcher) environment() []string {
	own := "=" + strconv.Itoa(os.Getpid())
	passes := slices.Contains(os.Environ(), listenPID+own) && len(l.config.Keep) > 0
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		switch name, _, _ := strings.Cut(v, "="); name {
		case listenID:
			return true
		case listenPID, listenFDs, listenNames:
			return !passes
		case watchdogPID:
			return v != watchdogPID+own
		}
		return false
	})
}

// forProcess writes the number of a process where the variables of a service manager have one.
func forProcess(environment []string, pid int) []string {
	all := slices.Clone(environment)
	for i, v := range all {
		if name, _, _ := strings.Cut(v, "="); name == listenPID || name == watchdogPID {
			all[i] = name + "=" + strconv.Itoa(pid)
		}
	}
	return all
}

// passable says why a descriptor would lead a program around its rules, nil where it does not. What
// there is no reason to pass is refused too.
func passable(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if path, err := sys.IsPath(f); err != nil || path {
		return errors.Join(err, errors.New("it was opened with O_PATH, and stands for a file without rules"))
	}
	stat := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("a folder, which leads around the rules")
	case stat.Mode&syscall.S_IFMT == 0: // io_uring, userfaultfd, BPF, perf events, epoll: anon_inode
		return errors.New("no file, but something that the kernel does by a descriptor")
	case mode.IsRegular():
		return passableFile(f, info)
	case mode&(os.ModeSocket|os.ModeNamedPipe) != 0:
		return nil
	case mode&os.ModeCharDevice != 0 && harmless(f, uint64(stat.Rdev)):
		return nil
	}
	return fmt.Errorf("%v: sockets, pipes, terminals and files are passed on", info.Mode().Type())
}

// fileSystems are those for data, by their magic numbers (statfs(2)), that have no block device. What else has
// none is about the kernel: proc, sysfs, cgroups, namespaces, processes by their descriptors.
var fileSystems = []int64{sys.MagicTmpfs, sys.MagicRamfs, sys.MagicHugetlbfs, sys.MagicOverlay, sys.MagicBtrfs, sys.MagicZFS,
	sys.MagicNFS, sys.MagicSMB, sys.MagicFUSE, sys.Magic9P, sys.MagicCeph}

// passableFile is about what can be read and written as a file.
func passableFile(f *os.File, info os.FileInfo) error {
	magic, err := sys.FileSystem(f)
	switch {
	case err != nil:
		return err
	case sys.Major(uint64(info.Sys().(*syscall.Stat_t).Dev)) == 0 && !slices.Contains(fileSystems, magic):
		return fmt.Errorf("it is on no file system for data (%#x), as /proc is none, where a file may be the memory of a process", magic)
	case info.Mode()&0o111 != 0:
		return errors.New("a file that can be executed: take its x permissions away")
	case nameless(info):
		if seals, err := sys.Seals(f); err != nil || seals&sys.SealExec == 0 {
			return errors.New("a file without a name, which may become a program: make it a memfd with MFD_NOEXEC_SEAL")
		}
	}
	return nil
}

// harmless are terminals, /dev/null and its kin (Documentation/admin-guide/devices.txt).
func harmless(f *os.File, device uint64) bool {
	const memory, null, zero, full, random, urandom = 1, 3, 5, 7, 8, 9
	if sys.Major(device) == memory {
		return slices.Contains([]uint32{null, zero, full, random, urandom}, sys.Minor(device))
	}
	_, err := sys.GetTerminal(f)
	return err == nil
}

package feature

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

var memcgV2 = Feature{
	Name:       "memcg-v2",
	Title:      "the memory of a cgroup (version 2) is limited, and the kernel keeps the limit",
	Source:     "Documentation/admin-guide/cgroup-v2.rst, memory",
	Risk:       "it makes a cgroup, and has the kernel kill a process in it for its memory",
	Privileged: true,
	Since:      "6.1",
	probe:      probeMemcgV2,
}

const (
	cgroupDir   = "/sys/fs/cgroup"
	memcgLimit  = 8 << 20
	memcgDemand = 64 << 20
)

// probeMemcgV2 puts a copy of this process into a cgroup with a limit, and has it take
// more memory. The control is a copy that takes as much outside, and lives.
func probeMemcgV2() Result {
	switch err := onFileSystem(cgroupDir, sys.MagicCgroup2); {
	case errors.Is(err, errOtherFileSystem), errors.Is(err, os.ErrNotExist):
		return absent("cgroup2 is not mounted at "+cgroupDir, "")
	case err != nil:
		return unknown(cgroupDir, err)
	}
	controllers, err := readLine(filepath.Join(cgroupDir, "cgroup.controllers"))
	if err != nil {
		return unknown("cgroup.controllers", err)
	}
	if !slices.Contains(strings.Fields(controllers), "memory") {
		return absent("cgroup.controllers: "+controllers, "")
	}
	if err := os.WriteFile(filepath.Join(cgroupDir, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		return unknown("cgroup.subtree_control", err)
	}
	group := filepath.Join(cgroupDir, fmt.Sprintf("safevma-lab-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return unknown("mkdir of a cgroup", err)
	}
	defer removeCgroup(group)
	return tryLimit(group)
}

func tryLimit(group string) Result {
	outside, err := hog(memcgDemand, func(int) error { return nil })
	if err != nil || !outside.mapped {
		return noControl(fmt.Sprintf("%d MiB outside the cgroup: %s", memcgDemand>>20, outside), err)
	}
	inside, err := hog(memcgDemand, func(pid int) error {
		// Without a swap there is no such file.
		_ = os.WriteFile(filepath.Join(group, "memory.swap.max"), []byte("0"), 0)
		if err := os.WriteFile(filepath.Join(group, "memory.max"), []byte(strconv.Itoa(memcgLimit)), 0); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	})
	if err != nil {
		return unknown("a copy of this process in the cgroup", err)
	}
	events, err := os.ReadFile(filepath.Join(group, "memory.events"))
	if err != nil {
		return unknown("memory.events", err)
	}
	observed := fmt.Sprintf("%d MiB of %d: %s; memory.events: %s", memcgDemand>>20, memcgLimit>>20, inside, strings.Join(strings.Fields(string(events)), " "))
	control := fmt.Sprintf("%d MiB outside the cgroup: %s", memcgDemand>>20, outside)
	if inside.killed && counted(string(events), "oom_kill") {
		return present(observed, control)
	}
	return absent(observed, control)
}

// counted reports whether memory.events has a count of the event that is not 0.
func counted(events, event string) bool {
	for line := range strings.Lines(events) {
		if name, count, _ := strings.Cut(strings.TrimSpace(line), " "); name == event {
			return count != "0"
		}
	}
	return false
}

// hogEnd is how a process that took memory came out of it.
type hogEnd struct{ mapped, killed bool }

func (h hogEnd) String() string {
	switch {
	case h.killed:
		return "killed"
	case h.mapped:
		return "mapped"
	}
	return "refused"
}

// hog makes a copy of this process, has it placed, and then take so many bytes of memory.
// The copy is gone when hog returns.
func hog(size int, place func(pid int) error) (end hogEnd, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pipes, err := newPipes()
	if err != nil {
		return end, err
	}
	defer pipes.close()
	pid, err := sys.ForkMapper(int(pipes.hangup[0].Fd()), int(pipes.orders[0].Fd()), int(pipes.replies[1].Fd()),
		[2]sys.LaterMapping{{Length: size, Prot: readWrite, Flags: sys.MapPrivate | sys.MapAnonymous | sys.MapPopulate, FD: -1}})
	if err != nil {
		return end, err
	}
	pipes.replies[1].Close() // so that the end of the copy is the end of the file
	err = place(pid)
	if err == nil {
		end.mapped, err = order(pipes)
	}
	if end.mapped || err != nil {
		syscall.Kill(pid, syscall.SIGKILL)
		return end, errors.Join(err, reap(pid, new(syscall.WaitStatus)))
	}
	var status syscall.WaitStatus
	err = reap(pid, &status)
	end.killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	return end, err
}

// order has the copy map, and reports whether it lived to say so.
func order(pipes *pipes) (mapped bool, err error) {
	if _, err := pipes.orders[1].Write([]byte{1}); err != nil {
		return false, err
	}
	readable, err := sys.WaitReadable(pipes.replies[0], time.Minute)
	if err != nil {
		return false, err
	}
	if !readable {
		return false, errors.New("no answer within a minute")
	}
	var reply [16]byte
	if _, err := io.ReadFull(pipes.replies[0], reply[:]); err != nil {
		return false, nil // it ended
	}
	return true, nil
}

type pipes struct{ hangup, orders, replies [2]*os.File }

func newPipes() (*pipes, error) {
	p := new(pipes)
	for _, pipe := range []*[2]*os.File{&p.hangup, &p.orders, &p.replies} {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, err
		}
		*pipe = [2]*os.File{r, w}
	}
	return p, nil
}

func (p *pipes) close() {
	for _, f := range slices.Concat(p.hangup[:], p.orders[:], p.replies[:]) {
		f.Close() // one that is nil, or closed, is an error that does not matter
	}
}

func reap(pid int, status *syscall.WaitStatus) error {
	for {
		_, err := syscall.Wait4(pid, status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("wait4", err)
		}
	}
}

// removeCgroup removes a cgroup whose last process was just reaped: the kernel may
// still count it for a moment.
func removeCgroup(group string) {
	for range 100 {
		if err := os.Remove(group); !errors.Is(err, syscall.EBUSY) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

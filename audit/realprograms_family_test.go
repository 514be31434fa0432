package audit_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// adoptOrphans makes this process the parent of descendants whose own parent ends, as
// daemons that programs leave behind: so none is lost (PR_SET_CHILD_SUBREAPER(2const)).
func adoptOrphans(t *testing.T) {
	t.Helper()
	set := func(on uintptr) {
		const setChildSubreaper = 36
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, on, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	set(1)
	t.Cleanup(func() { set(0) })
}

// family returns all processes that descend from this one, in ascending order of their
// ids.
func family(t *testing.T) []process.Info {
	t.Helper()
	fs := process.Default()
	pids, err := fs.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]process.Info{}
	for _, pid := range pids {
		info, err := infoOf(fs, pid)
		if err == nil {
			children[info.PPID] = append(children[info.PPID], info)
		} else if !errors.Is(err, process.ErrGone) {
			t.Fatal(err)
		}
	}
	found := slices.Clone(children[os.Getpid()])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].PID]...)
	}
	slices.SortFunc(found, func(a, b process.Info) int { return a.PID - b.PID })
	return found
}

func infoOf(fs process.FS, pid int) (process.Info, error) {
	p, err := fs.Open(pid)
	if err != nil {
		return process.Info{}, err
	}
	defer p.Close()
	return p.Info()
}

// living returns those of the family that have not ended.
func living(t *testing.T) []process.Info {
	t.Helper()
	return slices.DeleteFunc(family(t), func(i process.Info) bool { return i.Zombie() })
}

// poll calls fn until it returns true; it fails the test if it never does.
func poll(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !fn(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
	}
}

// freeze stops the family and returns when each of its threads has. They go on when
// the test ends, or when the function is called that it returns.
func freeze(t *testing.T) (thaw func()) {
	t.Helper()
	pins := map[int]*os.File{}
	thaw = func() {
		for pid, pin := range pins {
			sys.PidfdSignal(pin, syscall.SIGCONT) // it may have ended
			pin.Close()
			delete(pins, pid)
		}
	}
	t.Cleanup(thaw)
	poll(t, "all processes stop", func() bool {
		all := living(t)
		for _, info := range all {
			if pins[info.PID] != nil {
				continue
			}
			pin, err := sys.PidfdOpen(info.PID)
			if err != nil {
				return false // it ended meanwhile
			}
			pins[info.PID] = pin
			if err := sys.PidfdSignal(pin, syscall.SIGSTOP); err != nil {
				return false
			}
		}
		return !slices.ContainsFunc(all, func(i process.Info) bool { return !stopped(i.PID) })
	})
	return thaw
}

// stopped reports whether every thread of a process has stopped.
func stopped(pid int) bool {
	p, err := process.Default().Open(pid)
	if err != nil {
		return false
	}
	defer p.Close()
	tids, err := p.List("task")
	if err != nil {
		return false
	}
	for _, tid := range tids {
		stat, err := p.ReadFile("task/" + tid + "/stat")
		if err != nil || threadState(stat) != 'T' {
			return false
		}
	}
	return true
}

// threadState returns the state in /proc/PID/task/TID/stat: it follows the name, which
// is in parentheses and can hold any byte.
func threadState(stat []byte) byte {
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
		return stat[i+2]
	}
	return 0
}

// bury waits until the whole family has ended, and reaps what it left. What does not
// end by itself, after its parents have, is killed, and the test fails.
func bury(t *testing.T) {
	t.Helper()
	end := time.Now().Add(patience / 4)
	for empty := 0; empty < 2; { // one whose parent ends while it is looked for is missed once
		all := living(t)
		if len(all) == 0 {
			empty++
			continue
		}
		empty = 0
		if time.Now().After(end) {
			for _, info := range all {
				t.Errorf("left behind: %d (%s)", info.PID, info.Comm)
				kill(info)
			}
			end = time.Now().Add(patience)
		}
		time.Sleep(time.Millisecond)
	}
	for _, info := range family(t) {
		if _, err := syscall.Wait4(info.PID, nil, syscall.WNOHANG, nil); err != nil {
			t.Errorf("reap %d (%s): %v", info.PID, info.Comm, err)
		}
	}
}

// kill kills one process, and no other that got its id meanwhile.
func kill(info process.Info) {
	pin, err := sys.PidfdOpen(info.PID)
	if err != nil {
		return
	}
	defer pin.Close()
	if now, err := infoOf(process.Default(), info.PID); err == nil && now.StartTime == info.StartTime {
		sys.PidfdSignal(pin, syscall.SIGKILL)
	}
}

package code

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region/code/internal/call"
)

// childVariable makes this program do one thing that may end it.
const childVariable = "SAFEVMA_CODE_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := child(name); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(name string) error {
	switch name {
	case "mdwe":
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, 65, 1, 0); errno != 0 { // PR_SET_MDWE, REFUSE_EXEC_GAIN
			fmt.Println("skip: PR_SET_MDWE:", errno)
			return nil
		}
	case "noexec":
		if err := os.WriteFile("/proc/sys/vm/memfd_noexec", []byte("2"), 0); err != nil {
			fmt.Println("skip:", err)
			return nil
		}
	}
	a, p, err := published()
	if err != nil {
		return err
	}
	switch name {
	case "program":
		call.Call(p.Entry(), 1)
	case "staging":
		call.Call(addressOf(a.image), 1)
	case "unpublished":
		call.Call(p.Entry()+uintptr(os.Getpagesize()), 1)
	case "trap":
		call.Call(p.Entry()+chunkSize, 1)
	case "mdwe":
		return refused("an executable gain", syscall.EACCES, func() error {
			return sys.Mprotect(a.all[:os.Getpagesize()], sys.ProtRead|sys.ProtExec)
		})
	case "noexec":
		return refused("an executable memfd", syscall.EACCES, func() error {
			_, err := sys.MemfdCreate("control", sys.MfdExec)
			return err
		})
	case "hold":
		return hold(a)
	}
	return nil
}

// published makes an arena with a program, and tries it.
func published() (*Arena, *Program, error) {
	a, err := New(4 * os.Getpagesize())
	if err != nil {
		return nil, nil, err
	}
	machine := adder(new(testing.T), 5)
	p, err := a.Add(len(machine), func(to []byte, _ uintptr) error { copy(to, machine); return nil })
	if err == nil {
		err = a.Publish()
	}
	if err != nil {
		return nil, nil, err
	}
	if got := call.Call(p.Entry(), 2); got != 7 {
		return nil, nil, fmt.Errorf("2 + 5 is %d", got)
	}
	return a, p, nil
}

func refused(what string, want error, do func() error) error {
	if err := do(); !errors.Is(err, want) {
		return fmt.Errorf("the control, %s, got %v, not %v", what, err, want)
	}
	return nil
}

// hold says where the code is, and where ordinary memory, and waits for the end of its input.
func hold(a *Arena) error {
	control, err := sys.Mmap(os.Getpagesize(), sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return err
	}
	control[0] = 1
	fmt.Println(a.entry, sys.Addr(control))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func childCommand(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	return cmd
}

// Only what is published executes: the staging buffer and the rest of the arena fault, what no
// program has traps.
func TestExecuteElsewhere(t *testing.T) {
	for name, want := range map[string]string{"program": "", "staging": "SIGSEGV", "unpublished": "SIGSEGV", "trap": "SIGTRAP"} {
		out, err := childCommand(name).CombinedOutput()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(string(out), want)) {
			t.Errorf("%s: %v, want %q: %.400s", name, err, want, out)
		}
	}
}

// It works where no mapping may become executable, and where no memfd may be executable.
func TestUnderPolicies(t *testing.T) {
	for _, name := range []string{"mdwe", "noexec"} {
		t.Run(name, func(t *testing.T) {
			cmd := childCommand(name)
			if name == "noexec" {
				if os.Getuid() != 0 {
					t.Skip("a new PID namespace is for root")
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
			}
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || strings.HasPrefix(string(out), "skip") {
				t.Skipf("%v: %s", err, out)
			}
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// A debugger and whoever else may write to the memory of the process can't write to what executes.
func TestFromOutside(t *testing.T) {
	runtime.LockOSThread() // who attaches is a thread
	defer runtime.UnlockOSThread()
	cmd := childCommand("hold")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	var code, control uint64
	if _, err := fmt.Sscan(line, &code, &control); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := syscall.PtraceAttach(pid); err != nil {
		t.Skip("ptrace: ", err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
		t.Fatal(err)
	}
	defer syscall.PtraceDetach(pid)
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer mem.Close()
	for name, write := range map[string]func(addr uint64) error{
		"/proc/PID/mem": func(addr uint64) error { _, err := mem.WriteAt(make([]byte, 8), int64(addr)); return err },
		"ptrace": func(addr uint64) error {
			_, err := syscall.PtracePokeData(pid, uintptr(addr), make([]byte, 8))
			return err
		},
	} {
		if err := write(control); err != nil {
			t.Errorf("%s: the control on ordinary memory: %v", name, err)
		}
		if err := write(code); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got %v, want EIO", name, err)
		}
	}
}

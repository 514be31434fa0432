package guard_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/safevma/safevma/internal/minimal"
	"github.com/safevma/safevma/internal/sys"
)

// attack is something that a program may do to run code that it made, or to reach memory that is not its
// own. Without rules it succeeds.
type attack struct {
	name, does string
	try        func() error
	// closed says by which errno, or other end, profile wx closes it.
	closed string
	// root: only root can do it at all.
	root bool
}

// outcome is what an attack prints.
func outcome(err error) string {
	if err == nil {
		return "open"
	}
	if name := sys.ErrnoName(err); name != "" {
		return name
	}
	return err.Error()
}

func call(name string, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := syscall.Syscall6(uintptr(sys.CallNumbers[name]), a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

const page = 4096

func mapped(prot, flags int, f *os.File) (uintptr, error) {
	fd := ^uintptr(0)
	if f != nil {
		fd = f.Fd()
	} else {
		flags |= sys.MapAnonymous
	}
	return call("mmap", 0, page, uintptr(prot), uintptr(flags), fd, 0)
}

const rw, rx = sys.ProtRead | sys.ProtWrite, sys.ProtRead | sys.ProtExec

var attacks = []attack{
	{"rwx", "memory that is writable and executable", func() error {
		_, err := mapped(rw|sys.ProtExec, sys.MapPrivate, nil)
		return err
	}, "EACCES", false},
	{"write-then-exec", "memory that is written, and then made executable", func() error {
		at, err := mapped(rw, sys.MapPrivate, nil)
		if err != nil {
			return err
		}
		_, err = call("mprotect", at, page, rx)
		return err
	}, "EACCES", false},
	{"memfd-twice", "one memfd mapped writable, and again executable", func() error {
		f, err := sys.MemfdCreate("x", sys.MfdNoexecSeal)
		if errors.Is(err, syscall.EINVAL) { // before Linux 6.3
			f, err = sys.MemfdCreate("x", 0)
		}
		if err != nil {
			return err
		}
		if err := f.Truncate(page); err != nil {
			return err
		}
		if _, err := mapped(rw, sys.MapShared, f); err != nil {
			return err
		}
		_, err = mapped(rx, sys.MapShared, f)
		return err
	}, "EACCES", false},
	{"memfd-fexecve", "a program in a memfd, executed by its descriptor", func() error { return memfdProgram(sys.MfdExec, "/proc/self/fd/%d") }, "EACCES", false},
	{"memfd-plain", "the same with no flags, as programs did before there were any", func() error { return memfdProgram(0, "/proc/self/fd/%d") }, "EACCES", false},
	{"shm-file", "a program written to /dev/shm", func() error { return writtenProgram("/dev/shm") }, "EACCES", false},
	{"tmp-file", "a program written to /tmp", func() error { return writtenProgram("/tmp") }, "EACCES", false},
	{"tmp-map", "a file written to /tmp, mapped executable", func() error {
		f, err := os.CreateTemp("/tmp", "safevma-attack-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		if err := f.Truncate(page); err != nil {
			return err
		}
		_, err = mapped(rx, sys.MapPrivate, f)
		return err
	}, "EPERM", false},
	{"tmpfile-map", "a file without a name in /tmp, mapped executable", func() error {
		f, err := sys.TempFile("/tmp")
		if err != nil {
			return err
		}
		if err := f.Truncate(page); err != nil {
			return err
		}
		_, err = mapped(rx, sys.MapPrivate, f)
		return err
	}, "EACCES", false},
	{"shebang", "a script written to /tmp", func() error {
		return executed("/tmp", func(f *os.File) error { _, err := f.WriteString("#!" + other().Path + "\n"); return err })
	}, "EACCES", false},
	{"proc-self-mem", "code written over by /proc/self/mem", func() error {
		f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		code, err := mapped(rx, sys.MapPrivate, nil)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte{0xc3}, int64(code))
		return err
	}, "EROFS", false},
	{"lower-sysctl", "vm.memfd_noexec set to something else", func() error {
		// No kernel takes this value: EINVAL says that it would have taken another one.
		err := os.WriteFile("/proc/sys/vm/memfd_noexec", []byte("9"), 0)
		if errors.Is(err, syscall.EINVAL) {
			return nil
		}
		return err
	}, "EROFS", true},
	{"user-namespace", "a user namespace, to be root in", func() error {
		cmd := other()
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: sys.NewUser}
		return cmd.Run()
	}, "EPERM", false},
	{"personality", "everything readable executable (READ_IMPLIES_EXEC)", func() error {
		_, err := call("personality", 0x0400000)
		return err
	}, "EPERM", false},
	{"ptrace", "another process traced", func() error {
		cmd := other()
		cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			return err
		}
		_ = cmd.Wait()
		return syscall.PtraceDetach(cmd.Process.Pid)
	}, "EPERM", false},
	{"vm-write", "a write to the memory of another process", func() error {
		b, target := []byte{1}, []byte{0}
		local := syscall.Iovec{Base: &b[0], Len: 1}
		remote := syscall.Iovec{Base: &target[0], Len: 1}
		_, err := call("process_vm_writev", uintptr(os.Getpid()), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
		runtime.KeepAlive(target)
		return err
	}, "EPERM", false},
	{"io-uring", "calls that no filter sees", func() error {
		params := make([]byte, 120)
		_, err := call("io_uring_setup", 1, uintptr(unsafe.Pointer(&params[0])))
		return err
	}, "EPERM", false},
	{"inherited-folder", "a folder that was open when it was started, and what is below it", func() error {
		fd, err := syscall.Openat(inheritedFD, "self/comm", syscall.O_RDWR, 0)
		if err != nil {
			return err
		}
		return syscall.Close(fd)
	}, "EBADF", false},
	{"working-directory", "a program written to the working directory, in /tmp, and executed by a name relative to it", func() error {
		if err := here("x"); err != nil {
			return err
		}
		defer os.Remove("x")
		return exec.Command("./x").Run()
	}, "EACCES", false},
	{"inherited-file", "a file in /tmp that was open when it was started, written, and mapped executable", func() error {
		if _, err := os.Stdin.Write(make([]byte, page)); err != nil {
			return err
		}
		_, err := mapped(rx, sys.MapShared, os.Stdin)
		return err
	}, "EACCES", false},
	{"folder-given", "a folder in /tmp that somebody else sent, entered, and a program in it", func() error {
		f, err := sys.ReceiveDescriptor(os.Stdin, "given")
		if err != nil {
			return err
		}
		if err := errors.Join(f.Chdir(), f.Close(), here("x")); err != nil {
			return err
		}
		defer os.Remove("x")
		return exec.Command("./x").Run()
	}, "EACCES", false},
	{"memfd-given", "a program in a memfd that somebody else made and sent", func() error {
		f, err := sys.ReceiveDescriptor(os.Stdin, "given")
		if err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/fd/3")
		cmd.ExtraFiles = []*os.File{f}
		return cmd.Run()
	}, "EACCES", false},
	{"child-write", "a write to the memory of a child, by /proc/PID/mem", func() error { return childMemory(other(), os.O_RDWR) }, "EROFS", false},
	{"child-read", "the memory of a child read, by /proc/PID/mem", func() error { return childMemory(other(), os.O_RDONLY) }, "open", false},
	{"child-unreadable", "the same, where the child is of a program whose file it can't read", func() error {
		return childMemory(exec.Command(other().Path+unreadable), os.O_RDONLY)
	}, "EACCES", true},
	{"own-listener", "a filter of its own, to answer for what is watched", func() error {
		runtime.LockOSThread()
		if err := sys.NoNewPrivileges(); err != nil {
			return err
		}
		_, err := sys.LoadFilter([]sys.Instruction{{Code: 6, K: sys.SeccompAllow}}, true)
		return err
	}, "EBUSY", false},
	{"x86-32", "a call by 32-bit code", func() error { return program32() }, "bad system call", false},
}

// memfdProgram executes this program from a memfd.
func memfdProgram(flags int, name string) error {
	f, err := sys.MemfdCreate("program", flags)
	if err != nil {
		return err
	}
	if err := copySmall(f); err != nil {
		return err
	}
	cmd := exec.Command(fmt.Sprintf(name, 3))
	cmd.ExtraFiles = []*os.File{f}
	return cmd.Run()
}

func writtenProgram(folder string) error { return executed(folder, copySmall) }

func copySmall(f *os.File) error {
	_, err := f.Write(minimal.Program(minimal.PlainStack))
	return err
}

// executed writes a file, and executes it.
func executed(folder string, write func(*os.File) error) error {
	dir, err := os.MkdirTemp(folder, "safevma-attack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := os.OpenFile(filepath.Join(dir, "x"), os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return exec.Command(f.Name()).Run()
}

// program32 executes a program of 32-bit code, which asks to end with status 0 by int 0x80.
func program32() error {
	code := []byte{0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80} // xor ebx, ebx; mov eax, 1 (exit); int 0x80
	const base, headers = 0x08048000, 52 + 32
	h := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le32 := func(all ...uint32) {
		for _, v := range all {
			h = append(h, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
		}
	}
	h = append(h, 2, 0, 3, 0) // ET_EXEC, EM_386
	le32(1, base+headers, 52, 0, 0)
	h = append(h, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0)
	size := uint32(headers + len(code))
	le32(1, 0, base, base, size, size, 5, page)
	// Beside this program, and not where temporary files are: nothing there is executed under the rules.
	err := executed(filepath.Dir(os.Args[0]), func(f *os.File) error { _, err := f.Write(append(h, code...)); return err })
	var e *exec.ExitError
	if errors.As(err, &e) {
		if s := e.Sys().(syscall.WaitStatus); s.Signaled() {
			return errors.New(s.Signal().String())
		}
	}
	if err != nil && strings.Contains(err.Error(), "exec format") {
		return syscall.ENOEXEC
	}
	return err
}

// inheritedFD is the proc file system of who starts an attack, by a number that no program takes by itself.
const inheritedFD = 40

// here writes a program to the working directory.
func here(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	return errors.Join(copySmall(f), f.Close())
}

// childMemory opens the memory of a child, which is stopped at a read, and sees that it is the child's: before
// its execve that has the memory of this process.
func childMemory(cmd *exec.Cmd, how int) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = opensMemory(cmd.Process.Pid, how)
	in.Close()
	return errors.Join(err, cmd.Wait())
}

func opensMemory(child, how int) error {
	folder := fmt.Sprintf("/proc/%d/", child)
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		comm, err := os.ReadFile(folder + "comm")
		if err != nil {
			return err
		}
		if !bytes.Equal(comm, own) {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the child executes nothing")
		}
	}
	f, err := os.OpenFile(folder+"mem", how, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text := make([]byte, len(minimal.Program(minimal.PlainStack)))
	if _, err := f.ReadAt(text, minimal.Base); err != nil {
		return err
	}
	if !bytes.Equal(text, minimal.Program(minimal.PlainStack)) {
		return errors.New("it is the memory of another process")
	}
	return nil
}

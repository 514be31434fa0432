package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// process is a running QEMU.
type process struct {
	cmd     *exec.Cmd
	port    *os.File // to the guest's init
	monitor *os.File // QMP
	console *console
	ended   chan struct{} // closed when QEMU is gone
	how     error         // why, once it is
}

// startQEMU starts QEMU with three sockets and the given files. It dies with this
// process, whatever ends it.
func startQEMU(program string, args []string, files []*os.File) (*process, error) {
	p := &process{ended: make(chan struct{})}
	var ours, theirs [3]*os.File
	for i, name := range []string{"port", "monitor", "console"} {
		var err error
		if ours[i], theirs[i], err = socketPair(name); err != nil {
			return nil, err
		}
		defer theirs[i].Close()
	}
	p.port, p.monitor = ours[0], ours[1]
	p.console = &console{source: ours[2]}
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.console.complaints, &p.console.complaints
	p.cmd.ExtraFiles = append(theirs[:], files...)
	// SIGKILL comes when the thread that started it ends, hence a thread of its own.
	// Signals of the terminal are for this process, which passes them on.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with QEMU
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.how = p.cmd.Wait()
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	go p.console.read()
	return p, nil
}

// kill ends QEMU at once: for the guest this is a power failure.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	p.port.Close()
	p.monitor.Close()
	p.console.source.Close()
}

func socketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil { // for deadlines
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name+" of QEMU"), nil
}

// consoleSize is how much of the kernel's messages is kept, in bytes.
const consoleSize = 256 << 10

// console keeps the last messages of the kernel, and what QEMU itself complains of.
type console struct {
	source     *os.File
	complaints lockedBuffer
	kept       lockedBuffer
}

func (c *console) read() {
	buf := make([]byte, 4<<10)
	for {
		n, err := c.source.Read(buf)
		_, _ = c.kept.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

// text returns the last messages.
func (c *console) text() string {
	text := c.kept.String()
	if complaints := c.complaints.String(); complaints != "" {
		text += fmt.Sprintf("\nQEMU says: %s", complaints)
	}
	return text
}

// lockedBuffer is a buffer of several goroutines that keeps its last consoleSize bytes.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte // protected by mu
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if over := len(l.b) - consoleSize; over > 0 {
		l.b = bytes.Clone(l.b[over:])
	}
	return len(b), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.ReplaceAll(l.b, []byte("\r"), nil))
}

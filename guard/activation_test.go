package guard_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/minimal"
	"github.com/safevma/safevma/internal/sys"
)

// Environment variables that ask this test binary to be something of a service.
const (
	managerEnv = "SAFEVMA_GUARD_MANAGER" // a manager: set LISTEN_PID and WATCHDOG_PID to the own number, and execute the arguments
	serviceEnv = "SAFEVMA_GUARD_SERVICE" // a service, which is given so many sockets
)

// manager executes a launcher as a service manager does: the variables have the number of who is executed.
func manager() int {
	os.Unsetenv(managerEnv)
	pid := strconv.Itoa(os.Getpid())
	env := append(os.Environ(), "LISTEN_PID="+pid, "WATCHDOG_PID="+pid, "LISTEN_PIDFDID=4711")
	return failed(syscall.Exec("/proc/self/exe", os.Args, env))
}

// service answers once at each socket that it was given, with what it knows of itself.
func service(count string) int {
	n, err := strconv.Atoi(count)
	if err != nil || os.Getenv("LISTEN_FDS") != count || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return failed(fmt.Errorf("process %d: %s sockets: %q", os.Getpid(), count, os.Environ()))
	}
	if id, ok := os.LookupEnv("LISTEN_PIDFDID"); ok {
		return failed(fmt.Errorf("LISTEN_PIDFDID=%s is of another process", id))
	}
	if err := noOthers(3 + n); err != nil {
		return failed(err)
	}
	for i := range n {
		if err := answer(3 + i); err != nil {
			return failed(err)
		}
	}
	return 0
}

// noOthers looks for descriptors of a launch, which no program is to have, from one on.
func noOthers(from int) error {
	for fd := from; fd < from+16; fd++ {
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) // none is what there should be
		if strings.HasPrefix(link, "socket:") || strings.HasPrefix(link, "/memfd:") {
			return fmt.Errorf("descriptor %d is open too: %s", fd, link)
		}
	}
	return nil
}

// answer says whether a socket waits, and answers there once.
func answer(fd int) error {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if errno != 0 {
		return errno
	}
	fmt.Println(flags&syscall.O_NONBLOCK == 0)
	f := os.NewFile(uintptr(fd), "socket")
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "%s %s", os.Getenv("LISTEN_FDNAMES"), os.Getenv("WATCHDOG_PID"))
	if err := errors.Join(err, c.Close(), f.Close()); err != nil || os.Getenv("LISTEN_FDNAMES") != alone {
		return errors.Join(err, l.Close())
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		return err
	}
	if c, err := net.Dial("unix", l.Addr().String()); err == nil {
		return errors.Join(errors.New("somebody else still listens at the socket"), c.Close())
	}
	return nil
}

// alone is the name of a socket that no test has too: it ends when the service closes it.
const alone = "alone"

// TestActivation: a service gets the sockets of its manager, by their numbers and as they are, and is the
// process that they are for.
func TestActivation(t *testing.T) {
	for _, profile := range []string{"wx", "secrets", "safety"} {
		t.Run(profile, func(t *testing.T) { activated(t, profile) })
	}
}

func activated(t *testing.T, profile string) {
	local, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	cmd := launcher(profile, leftOut(), victim(t))
	cmd.Env = append(cmd.Env, managerEnv+"=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=one:two", serviceEnv+"=2")
	for i, l := range []interface{ File() (*os.File, error) }{local.(*net.UnixListener), remote.(*net.TCPListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd, err := syscall.Dup(int(f.Fd()))
		if err == nil {
			err = syscall.SetNonblock(fd, i == 1) // as a manager may set it up
		}
		if err != nil {
			t.Fatal(err)
		}
		given := os.NewFile(uintptr(fd), "given") // which, other than f, does not change that
		defer given.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, given)
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for i, l := range []net.Listener{local, remote} {
		waits, err := lines.ReadString('\n')
		if err != nil {
			break // the program says why
		}
		if want := fmt.Sprintln(i == 0); waits != want {
			t.Errorf("socket %d waits: %s", i, waits)
		}
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(c)
		names, pid, _ := strings.Cut(string(said), " ")
		if _, e := strconv.Atoi(pid); err != nil || e != nil || names != "one:two" {
			t.Errorf("socket %d: %q, %v", i, said, err)
		}
		c.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, problems.String())
	}
}

// TestActivationRefused: what leads around the rules is not passed on, and neither is what is for another
// process.
func TestActivationRefused(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := errors.Join(os.WriteFile(program, minimal.Program(minimal.PlainStack), 0o755), os.WriteFile(filepath.Join(dir, "text"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	path, err := os.OpenFile(filepath.Join(dir, "text"), sys.OPath, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	later, err := sys.MemfdCreate("given", 0)
	if err == nil {
		err = later.Chmod(0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	events, err := sys.Eventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	type trial struct {
		file *os.File
		want string
	}
	trials := map[string]trial{
		"folder":  {opened(t, dir, os.O_RDONLY), "a folder"},
		"program": {opened(t, program, os.O_RDONLY), "can be executed"},
		"path":    {path, "O_PATH"},
		"memfd":   {programInMemfd(t), "can be executed"},
		"later":   {later, "may become a program"},
		"memory":  {opened(t, "/proc/self/mem", os.O_RDWR), "memory of a process"},
		"setting": {opened(t, "/sys/kernel/mm/transparent_hugepage/enabled", os.O_RDONLY), "no file system for data"},
		"space":   {opened(t, "/proc/self/ns/net", os.O_RDONLY), "no file system for data"},
		"events":  {events, "no file, but"},
		"text":    {opened(t, filepath.Join(dir, "text"), os.O_RDWR), ""},
		"null":    {opened(t, os.DevNull, os.O_RDWR), ""},
	}
	if never, err := sys.MemfdCreate("given", sys.MfdNoexecSeal); err == nil { // since Linux 6.3
		defer never.Close()
		trials["never"] = trial{never, ""}
	}
	for name, c := range trials {
		cmd := launcher("wx", leftOut(), victim(t))
		cmd.Env = append(cmd.Env, managerEnv+"=1", "LISTEN_FDS=1")
		cmd.ExtraFiles = []*os.File{c.file}
		out, err := cmd.CombinedOutput()
		if c.want == "" && err != nil || c.want != "" && !bytes.Contains(out, []byte("descriptor 3 is not passed on: ")) || !bytes.Contains(out, []byte(c.want)) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	for n, want := range map[string]string{"1": "descriptor 3 was not passed", "1025": "at most 1024", "-1": "at most 1024", "x": "at most 1024"} {
		cmd := launcher("wx", leftOut(), victim(t))
		cmd.Env = append(cmd.Env, managerEnv+"=1", "LISTEN_FDS="+n)
		if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s descriptors, where there are none: %v, %s", n, err, out)
		}
	}
	cmd := launcher("wx", leftOut(), victim(t))
	cmd.Env = append(cmd.Env, "LISTEN_PID=2", "LISTEN_FDS=1", serviceEnv+"=1") // 2 is what the program will be
	cmd.ExtraFiles = []*os.File{opened(t, os.DevNull, os.O_RDWR)}
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("1 sockets")) || bytes.Contains(out, []byte("LISTEN_")) {
		t.Errorf("for another process: %v, %s", err, out)
	}
}

// TestSystemd: systemd's own tool to try socket activation starts a launcher as systemd does.
func TestSystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "socket")
	cmd := launcher("wx", leftOut(), victim(t))
	args := []string{"--listen", socket, "--fdname", alone}
	for _, v := range append(cmd.Env[len(os.Environ()):], serviceEnv+"=1") {
		args = append(args, "--setenv", v)
	}
	cmd = exec.Command(tool, append(args, exe, victim(t))...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, problems.String())
		}
	}()
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	var c net.Conn
	waitFor(t, func() bool { c, err = net.Dial("unix", socket); return err == nil }, "the tool does not listen")
	defer c.Close()
	if said, err := io.ReadAll(c); err != nil || string(said) != alone+" " {
		t.Errorf("%q, %v", said, err)
	}
}

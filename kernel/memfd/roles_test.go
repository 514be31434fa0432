package memfd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
)

// The test binary plays the processes that are looked at: it is started again with the
// name of a role. A role does what it does, says so in one line of JSON, and stays
// until its standard input ends.
const rolePrefix = "role:"

var roles = map[string]func(args []string) (any, error){
	"hold":     holdRole,
	"fakes":    fakesRole,
	"others":   othersRole,
	"thread":   threadRole,
	"leader":   leaderRole,
	"noexec":   noexecRole,
	"scan":     scanRole,
	"nested":   nestedRole,
	"policy":   policyRole,
	"inside":   insideRole,
	"stopper":  stopperRole,
	"hang":     hangRole,
	"babble":   babbleRole,
	"runmemfd": runMemfdRole,
}

func init() {
	if role() == "leader" {
		runtime.LockOSThread() // main runs on the first thread of the process
	}
}

func role() string {
	if len(os.Args) < 2 {
		return ""
	}
	name, ok := strings.CutPrefix(os.Args[1], rolePrefix)
	if !ok {
		return ""
	}
	return name
}

func TestMain(m *testing.M) {
	if name := role(); name != "" {
		// Not os.Exit: under the race detector that waits for a second.
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(play(name)), 0, 0)
	}
	os.Exit(m.Run())
}

func play(name string) int {
	said, err := roles[name](os.Args[2:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	if said == nil {
		return 0
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return 1
	}
	if name == "leader" {
		endFirstThread()
	}
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// actor is a process that plays a role.
type actor struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// command prepares an actor. /proc/self/exe can be run by anybody, wherever go test put
// the binary.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{rolePrefix + name}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts an actor, and ends it with the test.
func start(t *testing.T, cmd *exec.Cmd) (*actor, error) {
	t.Helper()
	a := &actor{Cmd: cmd}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.in, a.out = in, bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	t.Cleanup(func() { a.end() })
	return a, nil
}

// startApart starts an actor in namespaces of its own, and skips the test where this
// host gives none. EINVAL is said by a kernel without user namespaces, but also by one
// whose caller strays in another PID namespace: that is no reason for root to skip.
func startApart(t *testing.T, cmd *exec.Cmd) *actor {
	t.Helper()
	a, err := start(t, cmd)
	for _, refusal := range []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EINVAL} {
		if errors.Is(err, refusal) && (refusal != syscall.EINVAL || os.Geteuid() != 0) {
			t.Skipf("no such namespace to be had: %v", err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// end lets the actor end, and waits for it.
func (a *actor) end() {
	a.in.Close()
	a.Wait()
}

// hear decodes what the actor says.
func hear[T any](t *testing.T, a *actor) T {
	t.Helper()
	var said T
	line, err := a.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v said nothing: %v", a.Args, err)
	}
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("%v said %q: %v", a.Args, line, err)
	}
	return said
}

// act starts an actor and returns what it says.
func act[T any](t *testing.T, name string, args ...string) (*actor, T) {
	t.Helper()
	a, err := start(t, command(name, args...))
	if err != nil {
		t.Fatal(err)
	}
	return a, hear[T](t, a)
}

func pin(t *testing.T, pid int) *process.Process {
	t.Helper()
	p, err := process.Default().Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func learn(t *testing.T) memfd.Devices {
	t.Helper()
	dev, err := memfd.LearnDevices()
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// made is a file that an actor made.
type made struct {
	FD    int
	Kind  string
	Name  []byte
	Ino   uint64
	Mode  uint32 // permission bits
	Seals uint32
	Size  int64
	Alloc int64 // at least so much is allocated
	Start uint64
	End   uint64
}

// kept keeps the files of an actor open.
var kept []*os.File

// create makes a memfd. Before Linux 6.3 none can be made without execute bits, or
// asked for with them: m says what is to be expected instead.
func create(m *made, flags int) (*os.File, error) {
	f, err := sys.MemfdCreate(string(m.Name), flags)
	if !errors.Is(err, syscall.EINVAL) || flags&(sys.MfdNoexecSeal|sys.MfdExec) == 0 {
		return f, err
	}
	if flags&sys.MfdNoexecSeal != 0 {
		m.Mode, m.Seals = 0o777, 0
		flags |= sys.MfdAllowSealing
	}
	return sys.MemfdCreate(string(m.Name), flags&^(sys.MfdNoexecSeal|sys.MfdExec))
}

// noexec is a memfd as a careful program makes it.
func noexec(name string) made {
	return made{Kind: "memfd", Name: []byte(name), Mode: 0o666, Seals: uint32(memfd.SealExec)}
}

// newMemfd makes a memfd for a test, and says what it is.
func newMemfd(t *testing.T, flags int) (*os.File, made) {
	t.Helper()
	m := noexec(t.Name())
	f, err := create(&m, flags|sys.MfdNoexecSeal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, m
}

func make1(m made, flags int, then func(*os.File, *made) error) (made, error) {
	f, err := create(&m, flags)
	if err != nil {
		return m, err
	}
	return keep(f, m, then)
}

func keep(f *os.File, m made, then func(*os.File, *made) error) (made, error) {
	kept = append(kept, f)
	if then != nil {
		if err := then(f, &m); err != nil {
			return m, err
		}
	}
	st, err := sys.Stat(f)
	m.FD, m.Ino = int(f.Fd()), st.Ino
	return m, err
}

// holdRole makes one file of each kind that there is here.
func holdRole([]string) (any, error) {
	var all []made
	add := func(m made, flags int, then func(*os.File, *made) error) error {
		m, err := make1(m, flags, then)
		if errors.Is(err, syscall.EACCES) && flags&sys.MfdExec != 0 {
			return nil // this host permits no executable memfds
		}
		all = append(all, m)
		return err
	}
	const exec = sys.MfdExec | sys.MfdAllowSealing
	readOnly := memfd.SealSeal | memfd.SealShrink | memfd.SealGrow | memfd.SealWrite
	err := errors.Join(
		add(noexec("noexec"), sys.MfdNoexecSeal, resize(10000)),
		add(noexec("a b\n\\012 (deleted)\xff/memfd:x"), sys.MfdNoexecSeal, chmod(0o600)),
		add(noexec("/slash"), sys.MfdNoexecSeal, chmod(0)),
		add(noexec(""), sys.MfdNoexecSeal, nil),
		add(made{Kind: "memfd", Name: []byte("exec"), Mode: 0o777, Seals: uint32(memfd.SealSeal)}, sys.MfdExec, nil),
		add(made{Kind: "memfd", Name: []byte("sealed"), Mode: 0o777, Seals: uint32(readOnly)}, exec, writeAndSeal),
		add(made{Kind: "memfd", Name: []byte("wx"), Mode: 0o777}, exec, sealExec),
	)
	if err != nil {
		return nil, err
	}
	huge := noexec("huge")
	huge.Kind = "hugetlb memfd"
	if m, err := make1(huge, sys.MfdHugetlb|sys.MfdNoexecSeal|21<<sys.MfdHugeShift, resize(2<<20)); err == nil {
		all = append(all, m)
	}
	if f, err := sys.MemfdSecret(); err == nil {
		secret, err := keep(f, made{Kind: "secret", Name: []byte("secretmem"), Mode: 0o600}, resize(4096))
		if err != nil {
			return nil, err
		}
		all = append(all, secret)
	}
	return all, nil
}

func resize(size int64) func(*os.File, *made) error {
	return func(f *os.File, m *made) error {
		m.Size = size
		return f.Truncate(size)
	}
}

func chmod(mode os.FileMode) func(*os.File, *made) error {
	return func(f *os.File, m *made) error {
		m.Mode = uint32(mode)
		return f.Chmod(mode)
	}
}

func writeAndSeal(f *os.File, m *made) error {
	m.Size, m.Alloc = 4, 4096
	if _, err := f.WriteString("data"); err != nil {
		return err
	}
	return sys.AddSeals(f, int(m.Seals))
}

// sealExec takes the right to write from an executable memfd, as the kernel does with
// that seal (from Linux 6.3 on).
func sealExec(f *os.File, m *made) error {
	if err := sys.AddSeals(f, sys.SealExec); err != nil {
		return ignore(err, syscall.EINVAL)
	}
	m.Seals = uint32(memfd.SealExec | memfd.SealShrink | memfd.SealGrow | memfd.SealWrite | memfd.SealFutureWrite)
	return nil
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// fakesRole holds and maps deleted files of a tmpfs that nobody else sees, called as
// memfds and secret memory are: the paths that the kernel gives for them are the same.
func fakesRole(args []string) (any, error) {
	dir := args[0]
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID, "size=1m,mode=755"); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	var all []made
	for _, name := range []string{"memfd:fake", "secretmem", "SYSV00000000"} {
		f, err := os.OpenFile(dir+"/"+name, os.O_RDWR|os.O_CREATE, 0o777)
		if err != nil {
			return nil, err
		}
		m, err := keep(f, made{Name: []byte(name)}, mapIt)
		if err := errors.Join(err, os.Remove(dir+"/"+name)); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	// Without its mount point the root of the file system is where paths begin.
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		return nil, fmt.Errorf("unmount: %w", err)
	}
	return all, nil
}

// mapIt maps one page of a file, shared, and leaves it mapped.
func mapIt(f *os.File, m *made) error {
	if err := f.Truncate(4096); err != nil {
		return err
	}
	b, err := sys.Mmap(4096, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return err
	}
	m.Size, m.Start, m.End = 4096, sys.Addr(b), sys.Addr(b)+4096
	return nil
}

// othersRole maps what lies on the memfds' device and is none, and a memfd that it
// closed.
func othersRole([]string) (any, error) {
	if _, err := sys.Mmap(4096, sys.ProtRead, sys.MapShared|sys.MapAnonymous, -1, 0); err != nil {
		return nil, err
	}
	const ipcRmid = 0
	id, _, errno := syscall.Syscall(syscall.SYS_SHMGET, 0, 4096, 0o600)
	if errno != 0 {
		return nil, fmt.Errorf("shmget: %w", errno)
	}
	_, _, attach := syscall.Syscall(syscall.SYS_SHMAT, id, 0, 0)
	if _, _, errno := syscall.Syscall(syscall.SYS_SHMCTL, id, ipcRmid, 0); attach != 0 || errno != 0 {
		return nil, fmt.Errorf("shmat, shmctl: %w, %w", attach, errno)
	}
	m, err := make1(noexec("closed"), sys.MfdNoexecSeal, mapIt)
	if err != nil {
		return nil, err
	}
	kept[len(kept)-1].Close()
	return m, nil
}

// threadRole makes a memfd that only one thread, with a table of descriptors of its own,
// holds, and one that all hold.
func threadRole([]string) (any, error) {
	all, err := make1(noexec("all"), sys.MfdNoexecSeal, nil)
	if err != nil {
		return nil, err
	}
	type result struct {
		m   made
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocks: its table is not the others'
		if err := syscall.Unshare(syscall.CLONE_FILES); err != nil {
			done <- result{err: err}
			return
		}
		m, err := make1(noexec("own"), sys.MfdNoexecSeal, nil)
		m.Start = uint64(syscall.Gettid())
		done <- result{m, err}
		select {}
	}()
	r := <-done
	return []made{all, r.m}, r.err
}

// leaderRole makes a memfd and lets its first thread end, while others go on.
func leaderRole([]string) (any, error) {
	return make1(noexec("orphan"), sys.MfdNoexecSeal, nil)
}

func endFirstThread() {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}()
	syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

// noexecRole sets vm.memfd_noexec of the PID namespace that it is the first process of.
func noexecRole(args []string) (any, error) {
	if len(args) > 0 && args[0] != "inherit" {
		if err := os.WriteFile(memfd.NoexecPath, []byte(args[0]), 0); err != nil {
			return nil, err
		}
	}
	if len(args) > 1 && args[1] == "below" {
		if err := startBelow(); err != nil {
			return nil, err
		}
	}
	return os.Getpid(), nil
}

// startBelow starts a process in a PID namespace below this one, which inherits the
// setting, and ends with this one.
func startBelow() error {
	cmd := command("noexec", "inherit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	cmd.Stdin = os.Stdin
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = bufio.NewReader(out).ReadBytes('\n')
	return err
}

// scanned is what scanRole found.
type scanned struct {
	Found  int
	Denied bool
	Err    string
}

// scanRole looks for the memfds of another process.
func scanRole(args []string) (any, error) {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, err
	}
	dev, err := memfd.LearnDevices()
	if err != nil {
		return nil, err
	}
	p, err := process.Default().Open(pid)
	if err != nil {
		return nil, err
	}
	var s scanned
	err = memfd.Holders(p, dev, func(memfd.Descriptor) error { s.Found++; return nil })
	_, _, running := memfd.Executing(p, dev)
	s.Denied = errors.Is(err, process.ErrDenied) && errors.Is(running, process.ErrDenied)
	s.Err = fmt.Sprint(err, ", ", running)
	return s, nil
}

// nestedRole stands for the auditor in its own user namespace: it starts a process in a
// PID namespace below, and looks at the policy there.
func nestedRole(args []string) (any, error) {
	cmd := command("noexec", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := bufio.NewReader(out).ReadBytes('\n'); err != nil {
		return nil, err
	}
	p, err := process.Default().Open(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return memfd.InNamespace(ctx, p, policyHelper)
}

// policyRole is the helper of InNamespace.
func policyRole([]string) (any, error) {
	return nil, memfd.ServePolicy(os.NewFile(memfd.HelperFD, memfd.NoexecPath), os.Stdout)
}

// insideRole goes to the namespace as a helper does, and hangs, stops itself, or tells its status
// there.
func insideRole(args []string) (any, error) {
	if os.Getenv("SAFEVMA_ENTER_PID_NAMESPACE") != "" {
		return policyRole(nil)
	}
	switch args[0] {
	case "hang":
		return hangRole(args[1:])
	case "stop":
		return nil, syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	return statusRole()
}

// statusRole writes what a process is and has, where a helper writes its answer.
func statusRole() (any, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	for n := range 20 {
		if link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(n)); err == nil {
			b = fmt.Appendf(b, "fd %d: %s\n", n, link)
		}
	}
	b = fmt.Appendf(b, "environment: %q\n", os.Environ())
	return nil, errors.New(string(b))
}

// stopperRole stops every other process of its PID namespace, all the time.
func stopperRole([]string) (any, error) {
	go func() {
		for {
			syscall.Kill(-1, syscall.SIGSTOP)
		}
	}()
	return os.Getpid(), nil
}

// hangRole is a helper that never answers. That it is there it says into a FIFO.
func hangRole(args []string) (any, error) {
	if len(args) > 0 {
		f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		if _, err := f.WriteString("!"); err != nil {
			return nil, err
		}
	}
	return nil, syscall.Pause()
}

// babbleRole is a helper that never stops talking.
func babbleRole([]string) (any, error) {
	for {
		if _, err := os.Stdout.WriteString(strings.Repeat(" ", 4096)); err != nil {
			return nil, err
		}
	}
}

// runMemfdRole copies its own program into a memfd and goes on as that, in another role.
func runMemfdRole(args []string) (any, error) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	f, err := create(&made{Name: []byte("program")}, sys.MfdExec|sys.MfdAllowSealing)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, program); err != nil {
		return nil, err
	}
	// Not while it is open for writing: a copy for reading.
	ro, err := sys.Reopen(f)
	if err != nil {
		return nil, err
	}
	f.Close()
	return nil, syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(ro.Fd())), []string{"x", rolePrefix + "noexec", "inherit"}, nil)
}

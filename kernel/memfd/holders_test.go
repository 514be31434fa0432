package memfd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
)

func holders(t *testing.T, p *process.Process, dev memfd.Devices) []memfd.Descriptor {
	t.Helper()
	var all []memfd.Descriptor
	if err := memfd.Holders(p, dev, func(d memfd.Descriptor) error { all = append(all, d); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// inOwnMounts gives a command a mount namespace of its own, and an ordinary user the
// user namespace that this takes.
func inOwnMounts(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	return asRootOfUserNamespace(cmd)
}

func asRootOfUserNamespace(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		return cmd
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	return cmd
}

func TestHoldersFindsEveryFile(t *testing.T) {
	dev := learn(t)
	a, want := act[[]made](t, "hold")
	got := holders(t, pin(t, a.Process.Pid), dev)
	if len(got) != len(want) {
		t.Errorf("%d descriptors found, want %d", len(got), len(want))
	}
	if !slices.IsSortedFunc(got, func(a, b memfd.Descriptor) int { return a.FD - b.FD }) {
		t.Error("not in the order of the numbers")
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(d memfd.Descriptor) bool { return d.FD == w.FD })
		if i < 0 {
			t.Errorf("%s %q not found", w.Kind, w.Name)
			continue
		}
		t.Run(fmt.Sprintf("%q", w.Name), func(t *testing.T) { compare(t, &got[i], w, a.Process.Pid) })
	}
}

func compare(t *testing.T, d *memfd.Descriptor, w made, pid int) {
	if d.Kind.String() != w.Kind || d.Name != string(w.Name) || d.ID.Inode != w.Ino {
		t.Errorf("found %v %q %v, want %s %q inode %d", d.Kind, d.Name, d.ID, w.Kind, w.Name, w.Ino)
	}
	if d.Mode&0o7777 != w.Mode || d.Executable() != (w.Mode&0o111 != 0) {
		t.Errorf("mode %#o executable %v, want %#o", d.Mode&0o7777, d.Executable(), w.Mode)
	}
	if d.Size != w.Size || d.Allocated < w.Alloc || w.Alloc == 0 && d.Allocated != 0 {
		t.Errorf("%d bytes, %d allocated; want %d, %d", d.Size, d.Allocated, w.Size, w.Alloc)
	}
	if d.UID != uint32(os.Geteuid()) || d.GID != uint32(os.Getegid()) {
		t.Errorf("owner %d:%d", d.UID, d.GID)
	}
	if d.Kind == memfd.Secret {
		if !errors.Is(d.SealsErr, memfd.ErrNoSeals) {
			t.Errorf("seals %v, %v; want %v", d.Seals, d.SealsErr, memfd.ErrNoSeals)
		}
	} else if d.SealsErr != nil || uint32(d.Seals) != w.Seals {
		t.Errorf("seals %v, %v; want %v", d.Seals, d.SealsErr, memfd.Seals(w.Seals))
	}
	if d.InfoErr != nil || !d.CloseOnExec || d.Access != memfd.ReadWrite || d.Thread != pid {
		t.Errorf("close on exec %v, access %v, %v, thread %d; want true, read write, nil, %d", d.CloseOnExec, d.Access, d.InfoErr, d.Thread, pid)
	}
}

// How a descriptor was opened is its own; what the file is, is not. A descriptor that
// can't be asked for seals (O_PATH) does not hide them.
func TestAccessOfDescriptors(t *testing.T) {
	dev := learn(t)
	f, made := newMemfd(t, 0)
	link := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	want := map[int]memfd.Access{int(f.Fd()): memfd.ReadWrite}
	for flags, access := range map[int]memfd.Access{
		syscall.O_RDONLY:                     memfd.ReadOnly,
		syscall.O_WRONLY | syscall.O_CLOEXEC: memfd.WriteOnly,
		sys.OPath:                            memfd.PathOnly,
		syscall.O_ACCMODE:                    memfd.PathOnly,
	} {
		fd, err := syscall.Open(link, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		want[fd] = access
	}
	got := make(map[int]memfd.Access)
	for _, d := range holders(t, pin(t, os.Getpid()), dev) {
		if d.Name != t.Name() {
			continue
		}
		got[d.FD] = d.Access
		if d.SealsErr != nil || uint32(d.Seals) != made.Seals {
			t.Errorf("seals of a descriptor for %v: %v, %v", d.Access, d.Seals, d.SealsErr)
		}
		if closes := d.Access == memfd.ReadWrite || d.Access == memfd.WriteOnly; d.CloseOnExec != closes {
			t.Errorf("descriptor for %v closes on exec: %v, want %v", d.Access, d.CloseOnExec, closes)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("access by descriptor: %v, want %v", got, want)
	}
}

// Where a descriptor can't be copied, the seals come from opening the file again, and
// where its mode forbids that too, they are unknown, not none.
func TestSealsOfForeignUsersFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open every file")
	}
	dev := learn(t)
	f, _ := newMemfd(t, 0)
	if err := f.Chmod(0); err != nil {
		t.Fatal(err)
	}
	path, err := sys.OpenAt(sys.AtFDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), sys.OPath)
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	for _, d := range holders(t, pin(t, os.Getpid()), dev) {
		if d.FD != int(path.Fd()) {
			continue
		}
		if d.SealsErr == nil || !errors.Is(d.SealsErr, syscall.EACCES) {
			t.Errorf("seals %v, %v; want EACCES: the descriptor has none to show, and the file can't be opened", d.Seals, d.SealsErr)
		}
		return
	}
	t.Error("descriptor not found")
}

// A thread may have a table of its own, which /proc/PID/fd does not show.
func TestThreadWithItsOwnTable(t *testing.T) {
	dev := learn(t)
	a, want := act[[]made](t, "thread")
	got := holders(t, pin(t, a.Process.Pid), dev)
	if len(got) != 2 {
		t.Fatalf("found %+v, want two", got)
	}
	if got[0].Name != "all" || got[0].Thread != a.Process.Pid {
		t.Errorf("first is %q of thread %d, want %q of %d", got[0].Name, got[0].Thread, "all", a.Process.Pid)
	}
	own := want[1]
	if got[1].Name != "own" || got[1].Thread != int(own.Start) || got[1].ID.Inode != own.Ino {
		t.Errorf("second is %q of thread %d, inode %d; want %q of %d, inode %d", got[1].Name, got[1].Thread, got[1].ID.Inode, "own", own.Start, own.Ino)
	}
	if got[1].SealsErr != nil || uint32(got[1].Seals) != own.Seals || got[1].InfoErr != nil {
		t.Errorf("seals %v, %v, fdinfo %v", got[1].Seals, got[1].SealsErr, got[1].InfoErr)
	}
}

// Where the first thread has ended, /proc/PID/fd is empty, and the process lives.
func TestFirstThreadEnded(t *testing.T) {
	dev := learn(t)
	a, want := act[made](t, "leader")
	p := pin(t, a.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Zombie() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the first thread does not end")
		}
	}
	got := holders(t, p, dev)
	if len(got) != 1 || got[0].ID.Inode != want.Ino || got[0].Thread == p.PID {
		t.Errorf("found %+v, want inode %d by another thread than %d", got, want.Ino, p.PID)
	}
	if _, ok, err := memfd.Executing(p, dev); ok || err != nil {
		t.Errorf("Executing: %v, %v; it runs an ordinary file", ok, err)
	}
}

// A process that ends while it is read is said, whether it was reaped or not: its list
// is short, and looks whole.
func TestProcessEndsHalfWay(t *testing.T) {
	for _, reap := range []bool{true, false} {
		t.Run(fmt.Sprintf("reaped=%v", reap), func(t *testing.T) {
			dev := learn(t)
			a, want := act[[]made](t, "hold")
			p := pin(t, a.Process.Pid)
			n := 0
			err := memfd.Holders(p, dev, func(memfd.Descriptor) error {
				n++
				if n > 1 {
					return nil
				}
				a.Process.Kill()
				if reap {
					a.Wait()
				} else {
					awaitExit(t, a)
				}
				return nil
			})
			if !errors.Is(err, process.ErrGone) {
				t.Errorf("after %d of %d: %v, want %v", n, len(want), err, process.ErrGone)
			}
			if err := memfd.Holders(p, dev, func(memfd.Descriptor) error { return nil }); !errors.Is(err, process.ErrGone) {
				t.Errorf("once ended: %v, want %v", err, process.ErrGone)
			}
			if _, _, err := memfd.Executing(p, dev); !errors.Is(err, process.ErrGone) {
				t.Errorf("Executing once ended: %v, want %v", err, process.ErrGone)
			}
		})
	}
}

// awaitExit waits for a process to end, and leaves it a zombie.
func awaitExit(t *testing.T, a *actor) {
	t.Helper()
	const pPID, wExited, wNoWait = 1, 4, 0x01000000
	if _, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(a.Process.Pid), 0, wExited|wNoWait, 0, 0); errno != 0 {
		t.Fatalf("waitid: %v", errno)
	}
}

// The error of the callback stops the scan and comes back as it is.
func TestCallbackStops(t *testing.T) {
	dev := learn(t)
	a, _ := act[[]made](t, "hold")
	stop := errors.New("enough")
	n := 0
	if err := memfd.Holders(pin(t, a.Process.Pid), dev, func(memfd.Descriptor) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d calls, want %v after 1", err, n, stop)
	}
}

func TestDenied(t *testing.T) {
	target := 1
	cmd := command("scan")
	if os.Geteuid() == 0 {
		a, _ := act[[]made](t, "hold")
		target = a.Process.Pid
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Args = append(cmd.Args, strconv.Itoa(target))
	a, err := start(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	if s := hear[scanned](t, a); !s.Denied || s.Found != 0 {
		t.Errorf("process %d of another user: %+v, want denied, nothing found", target, s)
	}
}

// A kernel thread has no descriptors, no program, and is not gone.
func TestKernelThread(t *testing.T) {
	dev := learn(t)
	pids, err := process.Default().PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		p, err := process.Default().Open(pid)
		if err != nil {
			continue
		}
		info, err := p.Info()
		if err != nil || !info.KernelThread {
			p.Close()
			continue
		}
		err = memfd.Holders(p, dev, func(d memfd.Descriptor) error { return fmt.Errorf("found %+v", d) })
		_, ok, runs := memfd.Executing(p, dev)
		p.Close()
		if os.Geteuid() != 0 && errors.Is(err, process.ErrDenied) && errors.Is(runs, process.ErrDenied) {
			return
		}
		if err != nil || runs != nil || ok {
			t.Errorf("kernel thread %q: %v; executing %v, %v", info.Comm, err, ok, runs)
		}
		return
	}
	t.Skip("no kernel thread to be seen from this PID namespace")
}

// In a copy of /proc the links say memfd and lead nowhere: that is said, not passed over.
func TestCopyOfProc(t *testing.T) {
	dev := learn(t)
	root := t.TempDir()
	fd := filepath.Join(root, "7", "fd")
	for _, dir := range []string{fd, filepath.Join(root, "7", "task", "7")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(root, "7", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", "7 (x) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0")
	write("status", "Name:\tx\n")
	for link, target := range map[string]string{"fd/3": "/memfd:x (deleted)", "exe": "/bin/true"} {
		if err := os.Symlink(target, filepath.Join(root, "7", link)); err != nil {
			t.Fatal(err)
		}
	}
	scan := func() error {
		p, err := process.At(root).Open(7)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return memfd.Holders(p, dev, func(d memfd.Descriptor) error { return fmt.Errorf("found %+v", d) })
	}
	if err := scan(); !errors.Is(err, process.ErrMalformed) {
		t.Errorf("a link that leads nowhere: %v, want %v", err, process.ErrMalformed)
	}
	if err := os.Remove(filepath.Join(fd, "3")); err != nil {
		t.Fatal(err)
	}
	if err := scan(); err != nil {
		t.Errorf("no descriptors: %v", err)
	}
	if err := os.Symlink("/bin/true", filepath.Join(fd, "nonsense")); err != nil {
		t.Fatal(err)
	}
	if err := scan(); !errors.Is(err, process.ErrMalformed) {
		t.Errorf("a descriptor without a number: %v, want %v", err, process.ErrMalformed)
	}
}

// Nothing that looks at a process leaves a descriptor open, whether it works or not.
func TestNoDescriptorIsLeft(t *testing.T) {
	dev := learn(t)
	a, want := act[[]made](t, "hold")
	gone, _ := act[[]made](t, "hold")
	dead := pin(t, gone.Process.Pid)
	gone.end()
	p := pin(t, a.Process.Pid)
	use := func() {
		learn(t)
		holders(t, p, dev)
		memfd.Executing(p, dev)
		memfd.Mapped(p, dev, 0x1000, 0x2000)
		for _, m := range maps(t, a.Process.Pid) {
			memfd.Mapped(p, dev, m.start, m.end)
		}
		nothing := func(memfd.Descriptor) error { return nil }
		memfd.Holders(dead, dev, nothing)
		memfd.Holders(p, dev, func(memfd.Descriptor) error { return errors.New("stop") })
		memfd.InNamespace(t.Context(), p, policyHelper)
		memfd.InNamespace(t.Context(), dead, policyHelper)
	}
	use()
	before := openFiles(t)
	use()
	if after := openFiles(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if len(want) == 0 {
		t.Error("the actor held nothing: nothing was tested")
	}
}

func openFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files = append(files, e.Name()+" "+link)
		}
	}
	return files
}

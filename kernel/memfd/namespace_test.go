package memfd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
)

var policyHelper = []string{"/proc/self/exe", rolePrefix + "policy"}

func hostValue(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(memfd.NoexecPath)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this kernel has no vm.memfd_noexec")
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkPolicy compares the effect with what the kernel in the field does for a declared
// value, from Linux 6.6 on.
func checkPolicy(t *testing.T, p memfd.Policy, declared int) {
	t.Helper()
	if p.Declared == nil || *p.Declared != declared {
		t.Errorf("declared %v, %q; want %d", p.Declared, p.DeclaredError, declared)
	}
	if !p.Control() || p.NoexecSeal.Mode != 0o666 || p.NoexecSeal.Seals != memfd.SealExec {
		t.Errorf("control: %v, chmod %q", p.NoexecSeal, p.ChmodErrno)
	}
	wantDefault, wantExec := "memfd_create(0): mode 0666, seals exec", "memfd_create(MFD_EXEC): mode 0777, seals seal"
	if declared == 0 {
		wantDefault = "memfd_create(0): mode 0777, seals seal"
	}
	if declared == 2 {
		wantExec = "memfd_create(MFD_EXEC): EACCES"
	}
	if p.Default.String() != wantDefault || p.Exec.String() != wantExec {
		t.Errorf("%v; %v, want %s; %s", p.Default, p.Exec, wantDefault, wantExec)
	}
	if refused, known := p.ExecutableRefused(); !known || refused != (declared == 2) {
		t.Errorf("executable memfds refused: %v, known %v, with %d", refused, known, declared)
	}
}

func TestPolicyOfOwnNamespace(t *testing.T) {
	want := hostValue(t)
	p, err := memfd.InNamespace(t.Context(), pin(t, os.Getpid()), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkPolicy(t, p, want)
}

// The value and the effect are those of the namespace, and the host keeps its own.
func TestPolicyOfOtherNamespaces(t *testing.T) {
	host := hostValue(t)
	if os.Geteuid() != 0 || host != 0 {
		t.Skip("takes root, and a host that permits every value")
	}
	for value := range 3 {
		t.Run(strconv.Itoa(value), func(t *testing.T) {
			cmd := command("noexec", strconv.Itoa(value))
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
			a := startApart(t, cmd)
			if pid := hear[int](t, a); pid != 1 {
				t.Fatalf("the actor is process %d of its namespace", pid)
			}
			target := pin(t, a.Process.Pid)
			p, err := memfd.InNamespace(t.Context(), target, policyHelper)
			if err != nil {
				t.Fatal(err)
			}
			checkPolicy(t, p, value)
			st, err := target.Stat("ns/pid")
			if err != nil || p.Namespace != st.Ino {
				t.Errorf("namespace %d, want %d, %v", p.Namespace, st.Ino, err)
			}
			if p.Floor == nil || *p.Floor != 0 {
				t.Errorf("floor %v, %q; the host has 0", p.Floor, p.FloorError)
			}
			if lowerable, known := p.Lowerable(); lowerable || known != (value == 0) {
				t.Errorf("lowerable %v, known %v", lowerable, known)
			}
			if now := hostValue(t); now != host {
				t.Errorf("the host's value went from %d to %d", host, now)
			}
			checkNoZombie(t)
		})
	}
}

// In a namespace below one with the value 2 it cannot be lowered, and that is known.
func TestPolicyOfNestedNamespace(t *testing.T) {
	if host := hostValue(t); os.Geteuid() != 0 || host != 0 {
		t.Skip("takes root, and a host that permits every value")
	}
	// The actor sets 2 in its own namespace, below that lives its child.
	cmd := command("noexec", "2", "below")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	a := startApart(t, cmd)
	hear[int](t, a)
	below := childOf(t, a.Process.Pid)
	p, err := memfd.InNamespace(t.Context(), pin(t, below), policyHelper)
	if err != nil {
		t.Fatal(err)
	}
	checkPolicy(t, p, 2)
	if p.Floor == nil || *p.Floor != 2 {
		t.Errorf("floor %v, %q; want 2", p.Floor, p.FloorError)
	}
	if lowerable, known := p.Lowerable(); lowerable || !known {
		t.Errorf("lowerable %v, known %v; want false, true", lowerable, known)
	}
	checkNoZombie(t)
}

// childOf returns the one child of a process.
func childOf(t *testing.T, parent int) int {
	t.Helper()
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
		p.Close()
		if err == nil && info.PPID == parent {
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// An ordinary user is the master of a user namespace, and of PID namespaces below it.
func TestPolicyInUserNamespace(t *testing.T) {
	host := hostValue(t)
	if os.Geteuid() == 0 {
		t.Skip("is what root does without a user namespace")
	}
	a := startApart(t, asRootOfUserNamespace(command("nested", "inherit")))
	checkPolicy(t, hear[memfd.Policy](t, a), host)
}

func TestOtherNamespaceDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may enter")
	}
	hostValue(t)
	cmd := asRootOfUserNamespace(command("noexec", "inherit"))
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID
	a := startApart(t, cmd)
	hear[int](t, a)
	if _, err := memfd.InNamespace(t.Context(), pin(t, a.Process.Pid), policyHelper); !errors.Is(err, process.ErrDenied) {
		t.Errorf("%v, want %v", err, process.ErrDenied)
	}
	if _, err := memfd.InNamespace(t.Context(), pin(t, 1), policyHelper); !errors.Is(err, process.ErrDenied) {
		t.Errorf("process 1: %v, want %v", err, process.ErrDenied)
	}
}

// A helper that does not do its work is an error in time, and leaves nothing behind.
func TestHelperFails(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root to enter a PID namespace")
	}
	cmd := command("noexec", "inherit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	a := startApart(t, cmd)
	hear[int](t, a)
	target := pin(t, a.Process.Pid)
	inside := func(timeout time.Duration, helper ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		_, err := memfd.InNamespace(ctx, target, helper)
		checkNoZombie(t)
		return err
	}
	const long = time.Minute
	if err := inside(100*time.Millisecond, "/proc/self/exe", rolePrefix+"hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: %v", err)
	}
	if err := inside(long, "/proc/self/exe", rolePrefix+"babble"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("never stops talking: %v", err)
	}
	if err := inside(long, "/bin/true"); errors.Is(err, os.ErrNotExist) {
		t.Log("no /bin/true here, so nothing that says nothing")
	} else if !errors.Is(err, process.ErrMalformed) {
		t.Errorf("says nothing: %v", err)
	}
	if err := inside(long, "/no/such/helper"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("does not exist: %v", err)
	}
	if err := inside(long); err == nil {
		t.Error("no helper, and no error")
	}
	if err := inside(long, "/proc/self/exe", rolePrefix+"scan", "0"); err == nil || !strings.Contains(err.Error(), "scan:") {
		t.Errorf("fails with a complaint: %v", err)
	}
	a.end()
	if _, err := memfd.InNamespace(t.Context(), target, policyHelper); !errors.Is(err, process.ErrGone) {
		t.Errorf("ended: %v, want %v", err, process.ErrGone)
	}
}

// inNewNamespace starts an actor as the first process of a PID namespace.
func inNewNamespace(t *testing.T, role string, args ...string) *process.Process {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("takes root to enter a PID namespace")
	}
	cmd := command(role, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	a := startApart(t, cmd)
	hear[int](t, a)
	return pin(t, a.Process.Pid)
}

// checkAlone waits until nobody but the first process lives in a PID namespace: who was
// killed may be on its way out, and is reaped by the first process of this host.
func checkAlone(t *testing.T, first *process.Process) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		left := others(t, first)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %d are left in the namespace", left)
		}
	}
}

// others returns who lives in the PID namespace of a process, but for itself.
func others(t *testing.T, first *process.Process) []int {
	t.Helper()
	ns, err := first.Stat("ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := process.Default().PIDs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(pids, func(pid int) bool {
		st, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/ns/pid")
		if err != nil || pid == first.PID || st.Sys().(*syscall.Stat_t).Ino != ns.Ino {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// Whoever rules over a namespace can stop the helper, at any point of its life, but not
// hold up its caller.
func TestHelperIsHeldUp(t *testing.T) {
	t.Run("never answers", func(t *testing.T) {
		target := inNewNamespace(t, "noexec", "inherit")
		_, err := memfd.InNamespace(t.Context(), target, []string{"/proc/self/exe", rolePrefix + "inside", "hang"})
		if !errors.Is(err, memfd.ErrNoAnswer) {
			t.Errorf("%v, want %v", err, memfd.ErrNoAnswer)
		}
		checkNoZombie(t)
		checkAlone(t, target)
	})
	t.Run("does not even enter", func(t *testing.T) {
		target := inNewNamespace(t, "noexec", "inherit")
		_, err := memfd.InNamespace(t.Context(), target, []string{"/proc/self/exe", rolePrefix + "hang"})
		if !errors.Is(err, memfd.ErrNoAnswer) {
			t.Errorf("%v, want %v", err, memfd.ErrNoAnswer)
		}
		checkNoZombie(t)
	})
	t.Run("is stopped", func(t *testing.T) {
		target := inNewNamespace(t, "noexec", "inherit")
		_, err := memfd.InNamespace(t.Context(), target, []string{"/proc/self/exe", rolePrefix + "inside", "stop"})
		if !errors.Is(err, memfd.ErrNoAnswer) {
			t.Errorf("%v, want %v", err, memfd.ErrNoAnswer)
		}
		checkNoZombie(t)
		checkAlone(t, target)
	})
	t.Run("is stopped by the namespace", func(t *testing.T) {
		target := inNewNamespace(t, "stopper")
		var err error
		for range 100 { // now and then the helper is faster
			if _, err = memfd.InNamespace(t.Context(), target, policyHelper); err != nil {
				break
			}
		}
		if !errors.Is(err, memfd.ErrNoAnswer) {
			t.Errorf("%v, want %v", err, memfd.ErrNoAnswer)
		}
		checkNoZombie(t)
		checkAlone(t, target)
	})
}

// What is in the namespace is worth nothing to who takes it over.
func TestHelperHasNothing(t *testing.T) {
	target := inNewNamespace(t, "noexec", "inherit")
	_, err := memfd.InNamespace(t.Context(), target, []string{"/proc/self/exe", rolePrefix + "inside", "status"})
	if err == nil {
		t.Fatal("no answer is taken for one")
	}
	status := strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\"`, `"`).Replace(err.Error())
	policy := memfd.NoexecPath
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) { // before Linux 6.3
		policy = "/dev/null"
	}
	for _, line := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1", "Groups:\t \n",
		"Uid:\t4294967294\t4294967294\t4294967294\t4294967294\n", "Gid:\t4294967294\t4294967294\t4294967294\t4294967294\n",
		"fd 0: /dev/null\n", "fd 1: pipe:", "fd 2: pipe:", "fd 3: " + policy, "environment: []",
	} {
		if !strings.Contains(status, line) {
			t.Errorf("%q is not in %s", line, status)
		}
	}
	for line := range strings.Lines(status) {
		if n, file, ok := strings.Cut(strings.TrimPrefix(line, "fd "), ": "); ok && strings.HasPrefix(line, "fd ") && len(n) <= 2 {
			if strings.Contains(file, "pid:[") {
				t.Errorf("it holds a namespace: %s", line)
			}
		}
	}
}

// Its program may lie in a directory of root's, but must itself be executable for the
// helper: else that is said.
func TestHelperProgramOfRoot(t *testing.T) {
	target := inNewNamespace(t, "noexec", "inherit")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "helper")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	helper := []string{copied, rolePrefix + "policy"}
	if _, err := memfd.InNamespace(t.Context(), target, helper); err != nil {
		t.Errorf("in a directory of mode 0700: %v", err)
	}
	if err := os.Chmod(copied, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := memfd.InNamespace(t.Context(), target, helper); !errors.Is(err, process.ErrDenied) || !strings.Contains(err.Error(), "executable for everybody") {
		t.Errorf("of mode 0700: %v, want %v", err, process.ErrDenied)
	}
}

// A namespace that ends under the helper takes it along: that is said for what it is.
func TestNamespaceEndsUnderHelper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root to enter a PID namespace")
	}
	cmd := command("noexec", "inherit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	a := startApart(t, cmd)
	hear[int](t, a)
	target := pin(t, a.Process.Pid)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "there")
	// The helper is a user whom nobody expects, and the directory is in one of root's own.
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Chmod(fifo, 0o666), os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := memfd.InNamespace(t.Context(), target, []string{"/proc/self/exe", rolePrefix + "inside", "hang", fifo})
		done <- err
	}()
	there, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	there.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := there.Read(make([]byte, 1)); err != nil {
		t.Errorf("the helper does not say that it is there: %v", err)
	}
	a.end()
	if err := <-done; !errors.Is(err, process.ErrGone) {
		t.Errorf("%v, want %v", err, process.ErrGone)
	}
	checkNoZombie(t)
}

// After an excursion every thread of this process is in its own namespace, and so are
// the children that it starts.
func TestExcursionLeavesNothing(t *testing.T) {
	if hostValue(t); os.Geteuid() != 0 {
		t.Skip("takes root to enter a PID namespace")
	}
	cmd := command("noexec", "2") // so that the namespace above is looked at, too
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	a := startApart(t, cmd)
	hear[int](t, a)
	target := pin(t, a.Process.Pid)
	var before []string
	for range 3 {
		before = openFiles(t)
		if _, err := memfd.InNamespace(t.Context(), target, policyHelper); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before: %q, after: %q", before, after)
	}
	self := pin(t, os.Getpid())
	tids, err := self.List("task")
	if err != nil {
		t.Fatal(err)
	}
	own, err := self.Stat("ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	for _, tid := range tids {
		st, err := self.Stat("task/" + tid + "/ns/pid_for_children")
		if errors.Is(err, process.ErrGone) {
			continue
		}
		if err != nil || st.Ino != own.Ino {
			t.Errorf("children of thread %s go to namespace %d, want %d, %v", tid, st.Ino, own.Ino, err)
		}
	}
}

// checkNoZombie fails where a child of this process has ended and was not waited for.
func checkNoZombie(t *testing.T) {
	t.Helper()
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid > 0 {
		t.Errorf("child %d was left a zombie (%v)", pid, err)
	}
}

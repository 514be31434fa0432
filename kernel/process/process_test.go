package process_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/process"
)

func TestMain(m *testing.M) {
	if os.Getenv("SAFEVMA_PROCESS_CHILD") != "" {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, program string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "SAFEVMA_PROCESS_CHILD=1")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	return cmd
}

func TestInfoOfSelf(t *testing.T) {
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if info.PID != os.Getpid() || info.PPID != os.Getppid() || int(info.EUID) != os.Geteuid() || int(info.GID) != os.Getgid() ||
		info.Exe != exe || info.KernelThread || info.Zombie() || info.Threads < 1 || info.VmSize == 0 || info.StartTime == 0 ||
		fmt.Sprintf("pid:[%d]", info.PIDNamespace) != ns || len(info.Hidden) != 0 {
		t.Errorf("%+v", info)
	}
	glance, err := p.Glance()
	if err != nil || glance.PPID != info.PPID || glance.StartTime != info.StartTime || glance.Comm != info.Comm || glance.Exe != info.Exe || glance.StackStart != info.StackStart || glance.Threads != 0 {
		t.Errorf("Glance: %+v, %v; Info: %+v", glance, err, info)
	}
	if start, err := p.StartTime(); err != nil || start != info.StartTime {
		t.Errorf("StartTime %d, %v; want %d", start, err, info.StartTime)
	}
	pids, err := process.Default().PIDs()
	if err != nil || !slices.IsSorted(pids) || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v, %v", pids, err)
	}
}

// The command name may hold what separates the fields of stat.
func TestHostileCommandName(t *testing.T) {
	for _, name := range []string{"a b", ") R 1 1 (", "x\ny", "\xff\xfe", "((("} {
		program := filepath.Join(t.TempDir(), name)
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, self, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, program)
		p, err := process.Default().Open(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		info, err := p.Info()
		if err != nil || info.Comm != name || info.Exe != program || info.PPID != os.Getpid() {
			t.Errorf("%q: %+v, %v", name, info, err)
		}
	}
}

// A pinned process never turns into another one that has got its PID.
func TestGone(t *testing.T) {
	cmd := child(t, "/proc/self/exe")
	p, err := process.Default().Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cmd.Process.Kill()
	cmd.Wait()
	if _, err := p.Info(); !errors.Is(err, process.ErrGone) {
		t.Errorf("Info: %v, want ErrGone", err)
	}
	if _, err := p.Glance(); !errors.Is(err, process.ErrGone) {
		t.Errorf("Glance: %v, want ErrGone", err)
	}
	if _, err := p.List("fd"); !errors.Is(err, process.ErrGone) {
		t.Errorf("List: %v, want ErrGone", err)
	}
	if _, err := process.Default().Open(cmd.Process.Pid); !errors.Is(err, process.ErrGone) {
		t.Errorf("Open: %v, want ErrGone", err)
	}
}

func TestLive(t *testing.T) {
	if !process.Default().Live() {
		t.Error("/proc is not the kernel's")
	}
	if process.At(t.TempDir()).Live() || process.At("/nowhere").Live() {
		t.Error("a folder is taken for the kernel's")
	}
}

// fixture makes a proc file system with one process.
func fixture(t *testing.T, files map[string]string) *process.Process {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "7")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := process.At(root).Open(7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

const (
	stat   = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 2 0 0 0\n"
	status = "Name:\ta) b\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nVmSize:\t      12 kB\nVmLck:\t       4 kB\nThreads:\t3\nCapEff:\t00000000000000ff\nNoNewPrivs:\t1\nSeccomp:\t2\n"
)

func TestInfoOfFixture(t *testing.T) {
	p := fixture(t, map[string]string{"stat": stat, "status": status, "cgroup": "3:cpu,memory:/m\n0::/a:b c\n", "oom_score_adj": "-17\n"})
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Comm != "a) b" || info.StartTime != 4711 || info.UID != 1 || info.EUID != 2 || info.GID != 5 || info.EGID != 6 || info.VmSize != 12<<10 ||
		info.VmLck != 4<<10 || info.Threads != 3 || info.CapEff != 255 || !info.NoNewPrivs || info.Seccomp != 2 || info.Cgroup != "/a:b c" || info.OOMScoreAdj != -17 {
		t.Errorf("%+v", info)
	}
	if len(info.Hidden) != 2 { // exe and ns/pid
		t.Errorf("hidden: %v", info.Hidden)
	}
}

// A file is read to its end, however long, and the buffer that is used again does not mix
// files.
func TestLongFiles(t *testing.T) {
	groups := "Groups:\t" + strings.Repeat("1000000 ", 8192) + "\n"
	path := "/" + strings.Repeat("c", 4095)
	p := fixture(t, map[string]string{"stat": stat, "status": groups + status, "cgroup": "0::" + path + "\n", "oom_score_adj": "-17\n"})
	for range 2 {
		info, err := p.Info()
		if err != nil || info.Cgroup != path || info.CapEff != 255 || info.StartTime != 4711 || info.OOMScoreAdj != -17 {
			t.Errorf("%+v, %v", info, err)
		}
	}
	if b, err := p.ReadFile("status"); err != nil || string(b) != groups+status {
		t.Errorf("%d bytes, %v; want %d", len(b), err, len(groups+status))
	}
}

// What makes no sense is an error, never a process with zeroes.
func TestMalformed(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty stat":        {"stat": "", "status": status},
		"no parentheses":    {"stat": "7 a S 1", "status": status},
		"few fields":        {"stat": "7 (a) S 1 7 7", "status": status},
		"text for a number": {"stat": strings.Replace(stat, "4711", "soon", 1), "status": status},
		"negative number":   {"stat": strings.Replace(stat, "4711", "-4711", 1), "status": status},
		"no colon":          {"stat": stat, "status": "Uid 1\n"},
		"few ids":           {"stat": stat, "status": "Uid:\t1\n"},
		"no number":         {"stat": stat, "status": "Threads:\n"},
	} {
		if info, err := fixture(t, files).Info(); !errors.Is(err, process.ErrMalformed) {
			t.Errorf("%s: %+v, %v; want ErrMalformed", name, info, err)
		}
	}
}

func TestDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read init's memory")
	}
	p, err := process.Default().Open(1)
	if err != nil {
		t.Skip("process 1 is not visible here:", err)
	}
	defer p.Close()
	if _, err := p.Open("maps"); !errors.Is(err, process.ErrDenied) {
		t.Errorf("%v, want ErrDenied", err)
	}
	info, err := p.Info()
	if err != nil || info.Comm == "" || len(info.Hidden) == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

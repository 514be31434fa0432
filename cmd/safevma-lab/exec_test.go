package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const program = "github.com/safevma/safevma/lab/vm/testdata/program"

// command returns a command line of the runner, with the kernel that the tests use.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	labtest.Lab(t)
	runner, inside := labtest.Build(t, labtest.Runner), labtest.Build(t, program)
	line := []string{"exec", "--quiet", "--kernel", labtest.Kernel, "--send", inside}
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		line, args = append(line, args[0]), args[1:]
	}
	return exec.CommandContext(t.Context(), runner, append(append(line, inside), args...)...)
}

func status(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		args   string
		status int
		says   string
	}{
		{"exit 0", 0, ""},
		{"exit 1", 1, ""},
		{"exit 2", 2, ""},
		{"exit 42", 42, ""},
		{"kill 9", 137, ""},
		{"panic", 125, "kernel panicked"},
		{"--timeout=3s hang", 124, "the time is over"},
		{"--nvdimm=ntfs exit 0", 125, "NVDIMM ntfs: want ext4, xfs, devdax or raw"},
		{"--unknown exit 0", 2, "unknown flag"},
	}
	for _, tt := range tests {
		cmd := command(t, strings.Fields(tt.args)...)
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		if got := status(cmd.Run()); got != tt.status || !strings.Contains(complaint.String(), tt.says) || tt.says == "" && complaint.Len() > 0 {
			t.Errorf("%s: exit status %d, want %d\n%s", tt.args, got, tt.status, &complaint)
		}
	}
}

// A reader that goes away, as head does, ends the program inside by SIGPIPE, and so the
// runner, soon.
func TestReaderGoesAway(t *testing.T) {
	cmd := command(t, "endless", "hearing")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	if got := status(cmd.Wait()); got != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit status %d", got)
	}
}

// startHanging starts the runner with a program that hangs, and returns when it does.
func startHanging(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := command(t, "hang")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// An interrupt is the program's, and its way of ending is the runner's.
func TestInterrupt(t *testing.T) {
	cmd := startHanging(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := status(cmd.Wait()); got != 128+int(syscall.SIGINT) {
		t.Errorf("exit status %d", got)
	}
}

// However the runner ends, QEMU ends with it.
func TestKilledRunnerLeavesNoQEMU(t *testing.T) {
	cmd := startHanging(t)
	qemu := children(t, cmd.Process.Pid)
	if len(qemu) != 1 {
		t.Fatalf("the runner has the children %v", qemu)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", qemu[0]))
		if err != nil || strings.Contains(string(state), ") Z ") { // gone, or waits for its new parent
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("QEMU lives on: %s", state)
		}
	}
}

// A file that is named keeps what a program wrote and did not sync: the guest powers off in
// an orderly way.
func TestStorageIsKept(t *testing.T) {
	disk := "--disk=ext4:" + filepath.Join(t.TempDir(), "disk") // made by the first one
	if out, err := command(t, disk, "leave", "/lab/disk0/file", "/lab/disk0/folder").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := command(t, disk, "show", "/lab/disk0/file").CombinedOutput(); err != nil || string(out) != "from inside\n" {
		t.Errorf("%v: %q", err, out)
	}
}

// children returns the processes whose parent is pid.
func children(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		if f := strings.Fields(string(rest)); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, child)
		}
	}
	return found
}

const module = `module example.com/inside

go 1.26
`

const source = `package inside

func Double(n int) int { return 2 * n }
`

const sourceTest = `package inside

import (
	"os"
	"strings"
	"testing"
)

func TestInside(t *testing.T) {
	text, err := os.ReadFile("testdata/greeting")
	if err != nil || string(text) != "hello\n" {
		t.Errorf("testdata: %q, %v", text, err)
	}
	if os.Getenv("GREETING") != "hello" {
		t.Errorf("environment: %q", os.Getenv("GREETING"))
	}
	version, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil || !strings.HasPrefix(string(version), os.Getenv("WANT_KERNEL")) {
		t.Errorf("kernel %q, %v", version, err)
	}
	if Double(2) != 4 {
		t.Error("arithmetic")
	}
}

func TestFails(t *testing.T) {
	if os.Getenv("FAIL") != "" {
		t.Error("as asked")
	}
}

func TestRace(t *testing.T) {
	if os.Getenv("RACE") == "" {
		t.Skip()
	}
	n, done := 0, make(chan bool)
	go func() { n++; close(done) }()
	n++
	<-done
}
`

// writeModule writes a module with a test, as somebody else's may look.
func writeModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": module, "pkg/inside.go": source, "pkg/inside_test.go": sourceTest, "pkg/testdata/greeting": "hello\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func goTest(t *testing.T, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	labtest.Lab(t)
	runner := labtest.Build(t, labtest.Runner) + " exec --quiet --kernel " + labtest.Kernel
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1", "-exec", runner}, args...)...)
	cmd.Dir = filepath.Join(dir, "pkg")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GREETING=hello", "WANT_KERNEL="+labtest.Kernel+"."), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestGoTest(t *testing.T) {
	dir := writeModule(t)
	profile := filepath.Join(dir, "c.out")
	out, err := goTest(t, dir, nil, "-v", "-coverprofile", profile)
	if err != nil || !strings.Contains(out, "--- PASS: TestInside") || !strings.Contains(out, "coverage: 100.0%") {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(profile)
	if err != nil || !strings.Contains(string(text), "inside.go:3.") {
		t.Errorf("the profile of coverage: %q, %v", text, err)
	}
	if out, err := goTest(t, dir, []string{"FAIL=1"}, "-json"); status(err) != 1 || !strings.Contains(out, `"Action":"fail"`) {
		t.Errorf("a test that fails: %v\n%s", err, out)
	}
	// The control: without the variable, the test inside sees that it is missing.
	if out, err := goTest(t, dir, []string{"GREETING="}); status(err) != 1 || !strings.Contains(out, `environment: ""`) {
		t.Errorf("without the variable: %v\n%s", err, out)
	}
	if out, err := goTest(t, dir, []string{"CGO_ENABLED=1"}, "-ldflags", "-linkmode external"); status(err) != 1 || !strings.Contains(out, "linked dynamically") {
		t.Errorf("a dynamic binary: %v\n%s", err, out)
	}
}

func TestGoTestRace(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc: \"make deps\" installs it")
	}
	dir := writeModule(t)
	static := []string{"-race", "-ldflags", `-linkmode external -extldflags "-static"`, "-v"}
	if out, err := goTest(t, dir, []string{"CGO_ENABLED=1"}, static...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := goTest(t, dir, []string{"CGO_ENABLED=1", "RACE=1"}, static...); status(err) != 1 || !strings.Contains(out, "WARNING: DATA RACE") {
		t.Errorf("a seeded race: %v\n%s", err, out)
	}
}

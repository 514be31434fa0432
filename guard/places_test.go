package guard_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/sys"
)

// TestOtherProc: a proc file system that is mounted elsewhere can't be written to either.
func TestOtherProc(t *testing.T) {
	distribution(t)
	if os.Geteuid() != 0 {
		t.Skip("only root mounts one")
	}
	place := t.TempDir() + "/a proc"
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatal(err)
	}
	write := []string{"/bin/sh", "-c", `exec 3<>"$1/self/comm" && echo written`, "sh", place}
	mounted := func(cmd *exec.Cmd) string {
		all := append([]string{"-c", `mount -t proc proc "$0" && exec "$@"`, place, cmd.Path}, cmd.Args[1:]...)
		shell := exec.Command("/bin/sh", all...)
		shell.Env = cmd.Env
		shell.SysProcAttr = &syscall.SysProcAttr{Unshareflags: sys.NewNS}
		out, _ := shell.CombinedOutput() // a shell that can't write has a status
		return string(out)
	}
	if got := mounted(exec.Command(write[0], write[1:]...)); got != "written\n" {
		t.Skipf("without rules: %s", got)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := launcher("wx", nil, write...)
	cmd.Path = exe // the shell's own /proc/self/exe is another one
	if got := mounted(cmd); strings.Contains(got, "written") || !strings.Contains(got, "Read-only") {
		t.Errorf("under wx: %s", got)
	}
}

// TestNoProc: where there is no proc file system nothing is started, and it is said what to do.
func TestNoProc(t *testing.T) {
	distribution(t)
	if os.Geteuid() != 0 {
		t.Skip("only root hides /proc")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"wx", "secrets"} {
		shell := exec.Command("/bin/sh", "-c", `mount -t tmpfs none /proc && exec "$0" /bin/echo ran`, exe)
		shell.Env = launcher(profile, nil).Env
		shell.SysProcAttr = &syscall.SysProcAttr{Unshareflags: sys.NewNS}
		out, err := shell.CombinedOutput()
		if shell.ProcessState.ExitCode() != 125 || !bytes.Contains(out, []byte("mount proc at /proc")) {
			t.Errorf("%s: %v, %s", profile, err, out)
		}
	}
}

// TestInput: a folder as standard input would lead around the rules, and so would a program.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	program, text := filepath.Join(dir, "program"), filepath.Join(dir, "text")
	if err := errors.Join(os.WriteFile(program, nil, 0o755), os.WriteFile(text, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, refused := range map[string]bool{dir: true, program: true, text: false} {
		cmd := launcher("wx", leftOut(), victim(t))
		cmd.Stdin = opened(t, name, os.O_RDONLY)
		out, err := cmd.CombinedOutput()
		if !refused && err != nil || refused && (cmd.ProcessState.ExitCode() != 125 || !bytes.Contains(out, []byte("redirect it elsewhere"))) {
			t.Errorf("%s: %v, %s", filepath.Base(name), err, out)
		}
	}
}

// TestWorkingDirectory: the program is where it was started, and where that can't be it is said.
func TestWorkingDirectory(t *testing.T) {
	distribution(t)
	dir := t.TempDir()
	cmd := launcher("wx", leftOut(), "/bin/pwd")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != dir+"\n" {
		t.Errorf("%v, %s", err, out)
	}
	cmd = launcher("wx", leftOut(), "/bin/true")
	cmd.Dir = "/proc/self/task"
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 125 || !bytes.Contains(out, []byte("start it in another one")) {
		t.Errorf("in a folder that another process has: %v, %s", err, out)
	}
}

// TestNoStage: who sets the variable that asks for a stage is told so.
func TestNoStage(t *testing.T) {
	distribution(t)
	for _, stage := range []string{"outer", "target", "x"} {
		cmd := launcher("wx", leftOut(), "/bin/true")
		cmd.Env = append(cmd.Env, guard.Env+"="+stage)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 125 || !bytes.Contains(out, []byte("unset it")) {
			t.Errorf("%s: %v, %s", stage, err, out)
		}
	}
}

// TestDeclaredFolders: a folder that a profile names is to be there, and is under the rule also by another name.
func TestDeclaredFolders(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "a folder")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink("a folder", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"none": "no such file or directory", "link": "", "a folder/": ""} {
		profile := filepath.Join(dir, "profile.yaml")
		text := "schema: " + guard.Schema + "\nname: declared\nrules: {noexec-folders: true}\nnoexec_folders: [/tmp, '" + dir + "/" + name + "']\n"
		if err := os.WriteFile(profile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := launcher(profile, nil, victim(t)).CombinedOutput()
		if (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// TestLongName: a program is started by whatever name it has.
func TestLongName(t *testing.T) {
	exe := victim(t)
	top := filepath.Join(filepath.Dir(exe), strings.Repeat("a", 200))
	t.Cleanup(func() { os.RemoveAll(top) })
	dir := filepath.Join(top, strings.Repeat("b", 200))
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Link(exe, filepath.Join(dir, "victim"))); err != nil {
		t.Fatal(err)
	}
	if out, err := launcher("wx", leftOut(), filepath.Join(dir, "victim")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

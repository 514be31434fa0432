package offender

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Stages of an offender that executes itself anew; see [run.exec].
const (
	stageMain   = "main"   // the image that commits the violation
	stageSilent = "silent" // as that, but a former image has said that it is ready
)

// child starts this program again, as name, and waits until it is ready. It gets the
// files as descriptors 3 and on, reads the same standard input, and dies with this
// process.
func (r *run) child(files []*os.File, name string, args ...string) (Report, error) {
	cmd, err := again(name, args...)
	if err != nil {
		return Report{}, err
	}
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Report{}, err
	}
	if err := cmd.Start(); err != nil {
		return Report{}, cannot("start "+name, err)
	}
	r.onEnd(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return Report{}, childFailed(name, cmd, err)
	}
	var report Report
	if err := json.Unmarshal(line, &report); err != nil {
		return Report{}, fmt.Errorf("report of %s: %w", name, err)
	}
	r.report.PIDs = append(r.report.PIDs, report.PID)
	r.report.Ranges = append(r.report.Ranges, report.Ranges...)
	return report, nil
}

// childFailed makes the error of a child that ended before it was ready.
func childFailed(name string, cmd *exec.Cmd, err error) error {
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("report of %s: %w", name, err)
	}
	err = fmt.Errorf("ended early: %w", cmd.Wait())
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == ExitCannot {
		return cannot(name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func again(name string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), Env+"=1")
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// fork makes a copy of this process that holds the same pages and does nothing.
func (r *run) fork() (pid int, err error) {
	pid, err = sys.ForkIdle(int(os.Stdin.Fd()))
	if err != nil {
		return 0, cannot("fork", err)
	}
	r.onEnd(func() { kill(pid) })
	r.report.PIDs = append(r.report.PIDs, pid)
	return pid, nil
}

// kill ends and reaps a process of [sys.ForkIdle].
func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	for {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// exec replaces this process's image by the executable path, which runs the same
// offender in the given stage and takes over the directory. It returns only an error.
func (r *run) exec(path, stage string) error {
	env := append(os.Environ(), Env+"=1", envStage+"="+stage, envDir+"="+r.dir)
	args := append([]string{"offender", r.name}, r.args...)
	err := syscall.Exec(path, args, env)
	return cannot("execve "+path, err)
}

// copyOfSelf copies the own executable to w.
func copyOfSelf(w io.Writer) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	_, err = io.Copy(w, self)
	return err
}

// ownCopy makes an executable copy of the own executable, named so, and closes it:
// what is open for writing can't be executed.
func (r *run) ownCopy(name string) (path string, err error) {
	dir, err := r.tempDir()
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(copyOfSelf(f), f.Close())
}

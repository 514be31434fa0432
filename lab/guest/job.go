package guest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/wire"
)

const markFIFO = "/run/safevma-lab/mark"

// job is a program that runs.
type job struct {
	wire.Job
	cmd     *exec.Cmd
	outputs [2]*os.File    // our ends of standard output and error
	copying sync.WaitGroup // those that read them
	mark    *os.File
	marking chan struct{} // closed when the last mark has been sent
}

func startJob(conn *wire.Conn, spec wire.Job) (*job, error) {
	j := &job{Job: spec, marking: make(chan struct{})}
	if err := os.MkdirAll(spec.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := makeRoom(spec); err != nil {
		return nil, err
	}
	if err := j.openMark(conn); err != nil {
		return nil, err
	}
	j.cmd = &exec.Cmd{Path: spec.Path, Args: append([]string{spec.Path}, spec.Args...), Dir: spec.Dir,
		Env: append(spec.Env, wire.MarkVariable+"="+markFIFO), SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if spec.UID != 0 || spec.GID != 0 {
		j.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: spec.UID, Gid: spec.GID}
	}
	ends, err := j.pipes()
	if err != nil {
		return nil, err
	}
	starting.Lock() // so that reap doesn't take its end before Start knows it
	err = j.cmd.Start()
	if err == nil {
		ended.watch(j.cmd.Process.Pid)
	}
	starting.Unlock()
	for _, end := range ends {
		end.Close()
	}
	if err != nil {
		return nil, errors.Join(err, j.mark.Close(), j.outputs[0].Close(), j.outputs[1].Close())
	}
	j.copy(conn)
	return j, nil
}

// makeRoom makes the folders in which the program is to leave what is brought back, and
// lets its user write there.
func makeRoom(spec wire.Job) error {
	for _, path := range spec.Bring {
		folder := filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		if err := os.Chown(folder, int(spec.UID), int(spec.GID)); err != nil {
			return err
		}
	}
	return nil
}

// pipes makes the outputs, and returns the program's ends of them.
func (j *job) pipes() ([2]*os.File, error) {
	var theirs [2]*os.File
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		j.outputs[i], theirs[i] = r, w
	}
	j.cmd.Stdout, j.cmd.Stderr = theirs[0], theirs[1]
	return theirs, nil
}

// copy sends what the program writes, until no process has the outputs open any more.
func (j *job) copy(conn *wire.Conn) {
	for i, kind := range []wire.Kind{wire.Out, wire.Err} {
		j.copying.Go(func() {
			_, err := io.CopyBuffer(conn.Writer(kind), struct{ io.Reader }{j.outputs[i]}, make([]byte, 64<<10))
			if err != nil && !errors.Is(err, os.ErrClosed) {
				// The port is broken. The program must not wait for it.
				_, _ = io.Copy(io.Discard, j.outputs[i])
			}
		})
	}
}

// openMark makes the FIFO for marks. It is open for writing here too, so that its end
// comes only when we close it.
func (j *job) openMark(conn *wire.Conn) error {
	if err := os.MkdirAll(filepath.Dir(markFIFO), 0o755); err != nil {
		return err
	}
	if err := sys.Mkfifo(markFIFO, 0o666); err != nil && !errors.Is(err, syscall.EEXIST) {
		return err
	}
	if err := os.Chmod(markFIFO, 0o666); err != nil {
		return err
	}
	var err error
	if j.mark, err = os.OpenFile(markFIFO, os.O_RDWR, 0); err != nil {
		return err
	}
	r, err := os.OpenFile(markFIFO, os.O_RDONLY, 0)
	if err != nil {
		return errors.Join(err, j.mark.Close())
	}
	go func() {
		defer close(j.marking)
		defer r.Close()
		_, _ = io.Copy(conn.Writer(wire.Mark), struct{ io.Reader }{r})
	}()
	return nil
}

// signal sends a signal to the program and whatever it started in its session.
func (j *job) signal(number byte) {
	_ = syscall.Kill(-j.cmd.Process.Pid, syscall.Signal(number)) // it may have ended
}

// closeOutput closes an output that nobody reads any more: the program's next write of
// it fails, and ends it unless it wants otherwise, as it would outside the lab.
func (j *job) closeOutput(number byte) {
	if number == 1 || number == 2 {
		j.outputs[number-1].Close()
	}
}

// wait waits until the program has ended and all its output has been sent. What it left
// running is killed: it would hold the output open for ever.
func (j *job) wait() wire.Answer {
	status := ended.wait(j.cmd.Process.Pid)
	_ = syscall.Kill(-1, syscall.SIGKILL) // all but the init; ESRCH says that there are none
	j.copying.Wait()
	for _, output := range j.outputs {
		output.Close()
	}
	j.mark.Close()
	<-j.marking
	if status.Signaled() {
		return wire.Answer{Signal: int(status.Signal())}
	}
	return wire.Answer{Code: status.ExitStatus()}
}

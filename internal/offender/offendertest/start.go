package offendertest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/sys"
)

// patience is how long an offender may take to get ready or to end. Loaded machines
// and the race detector are slow; nothing waits this long when all is well.
const patience = 2 * time.Minute

// Main is a TestMain.
func Main(m *testing.M) {
	if offender.Asked() {
		os.Exit(offender.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// Offender is a running offender, twin or fixture.
type Offender struct {
	offender.Report

	cmd     *exec.Cmd
	stdin   *os.File
	stdout  *os.File
	stderr  string // path
	lines   *bufio.Reader
	temp    string
	pins    []*os.File // pidfds of the report's PIDs
	done    chan struct{}
	err     error // of Wait; set when done is closed
	stopped bool
}

// Start runs the offender, twin or fixture name and returns when it is ready. At the
// end of the test it is ended, and the test fails if it left a process or a file. The
// test is skipped, with the reason, where the violation can't be committed here.
func Start(t testing.TB, name string, args ...string) *Offender {
	t.Helper()
	if !offender.Hooked() {
		t.Fatal("this test binary can't become an offender: give its package func TestMain(m *testing.M) { offendertest.Main(m) }")
	}
	o, err := launch(t, name, args)
	if err != nil {
		t.Fatalf("start offender %s: %v", name, err)
	}
	t.Cleanup(func() { o.Stop(t) })
	line, err := o.read()
	if err != nil {
		o.notReady(t, name, err)
	}
	o.Report = line
	for _, pid := range o.PIDs {
		pin, err := sys.PidfdOpen(pid)
		if err != nil {
			t.Fatalf("offender %s: process %d: %v", name, pid, err)
		}
		o.pins = append(o.pins, pin)
	}
	return o
}

func launch(t testing.TB, name string, args []string) (*Offender, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &Offender{temp: t.TempDir(), done: make(chan struct{})}
	o.stderr = filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(o.stderr)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	o.stdin, o.stdout, o.lines = in, out, bufio.NewReader(out)
	o.cmd = exec.Command(exe, append([]string{name}, args...)...)
	// Else the race detector makes every process wait a second when it ends.
	quick := "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0"
	o.cmd.Env = append(os.Environ(), offender.Env+"=1", "TMPDIR="+o.temp, quick)
	o.cmd.Stdin, o.cmd.Stdout, o.cmd.Stderr = theirIn, theirOut, stderr
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go o.run(started)
	if err := <-started; err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return o, nil
}

// run keeps one thread for the life of the process, because it is killed when the
// thread that started it ends.
func (o *Offender) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := o.cmd.Start()
	started <- err
	if err == nil {
		o.err = o.cmd.Wait()
		close(o.done)
	}
}

// read reads the next report.
func (o *Offender) read() (report offender.Report, err error) {
	if err := o.stdout.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return report, err
	}
	line, err := o.lines.ReadBytes('\n')
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(line, &report)
}

// notReady ends the test: with a skip if the violation can't be committed here.
func (o *Offender) notReady(t testing.TB, name string, err error) {
	t.Helper()
	ended := false
	if errors.Is(err, io.EOF) {
		ended = o.wait()
	}
	text, readErr := os.ReadFile(o.stderr)
	if readErr != nil {
		t.Fatal(readErr)
	}
	said := strings.TrimSpace(string(text))
	if ended && o.cmd.ProcessState.ExitCode() == offender.ExitCannot {
		t.Skip(said)
	}
	t.Fatalf("offender %s did not get ready: %v: %s", name, err, said)
}

// Go tells an offender with a trigger to go on, and returns its next report, which
// also replaces the first.
func (o *Offender) Go(t testing.TB) offender.Report {
	t.Helper()
	if _, err := fmt.Fprintln(o.stdin, offender.TriggerGo); err != nil {
		t.Fatalf("offender %s: %v", o.Offender, err)
	}
	report, err := o.read()
	if err != nil {
		t.Fatalf("offender %s did not go on: %v", o.Offender, err)
	}
	o.Report = report
	return report
}

// Stop ends the offender as its user would, by closing its standard input, and checks
// that nothing is left of it. It is called at the end of the test; a second call does
// nothing. It, Kill and Go are for the goroutine of the test.
func (o *Offender) Stop(t testing.TB) {
	t.Helper()
	if o.stopped {
		return
	}
	o.stopped = true
	o.stdin.Close()
	if !o.wait() {
		o.cmd.Process.Kill()
		<-o.done
		t.Errorf("offender %s did not end with its standard input: killed", o.Offender)
	} else if code := o.cmd.ProcessState.ExitCode(); code != offender.ExitOK && code != offender.ExitCannot {
		said, _ := os.ReadFile(o.stderr)
		t.Errorf("offender %s: %v: %s", o.Offender, o.err, said)
	}
	o.checkGone(t)
	if left, err := os.ReadDir(o.temp); err != nil || len(left) > 0 {
		t.Errorf("offender %s left files: %v, %v", o.Offender, left, err)
	}
}

// Kill ends the offender with SIGKILL, and checks that its further processes die with
// it. Its files are left to the test's directory.
func (o *Offender) Kill(t testing.TB) {
	t.Helper()
	if o.stopped {
		return
	}
	o.stopped = true
	if err := o.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-o.done
	o.checkGone(t)
	o.stdin.Close()
}

// wait reports whether the started process ended in time.
func (o *Offender) wait() bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-o.done:
		return true
	case <-timer.C:
		return false
	}
}

// checkGone checks that all its processes have ended.
func (o *Offender) checkGone(t testing.TB) {
	t.Helper()
	o.stdout.Close()
	for i, pin := range o.pins {
		gone, err := sys.WaitReadable(pin, patience)
		if err != nil || !gone {
			sys.PidfdSignal(pin, syscall.SIGKILL)
			t.Errorf("offender %s left process %d: %v", o.Offender, o.PIDs[i], err)
		}
		pin.Close()
	}
	o.pins = slices.Delete(o.pins, 0, len(o.pins))
}

package probe

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// sleeping is a process in a group of its own, which ends with its standard input.
func sleeping(t *testing.T) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd, in
}

// A group is killed for as long as its number is its own, and not afterwards: the number may be
// that of strangers.
func TestGroup(t *testing.T) {
	cmd, _ := sleeping(t)
	g := group{leader: cmd.Process.Pid}
	g.kill()
	if err := g.end(cmd); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("%v, %v", err, cmd.ProcessState)
	}
	stranger, in := sleeping(t)
	g.leader = stranger.Process.Pid // as if the number had been given to it
	g.kill()
	in.Close()
	if err := stranger.Wait(); err != nil {
		t.Errorf("a stranger: %v", err)
	}
}

// However much a probe says, and by whatever way it is copied, no more than the limit is kept.
func TestLimited(t *testing.T) {
	var l limited
	text := strings.Repeat("x", 3*most/2)
	for _, from := range []io.Reader{strings.NewReader(text), struct{ io.Reader }{strings.NewReader(text)}} {
		if n, err := io.Copy(&l, from); n != int64(len(text)) || err != nil {
			t.Errorf("%d bytes were taken, %v", n, err)
		}
	}
	if n := l.buffer.Len(); n != most {
		t.Errorf("%d bytes are kept, want %d", n, most)
	}
}

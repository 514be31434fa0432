package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// most is how much a probe may say, in bytes.
const most = 4 << 20

// conduct runs one probe in a process of its own, and returns what it found. The process
// and all that it started are gone when conduct returns.
func (s *session) conduct(p *Probe) Result {
	r := Result{ID: p.ID, Subject: p.Subject, Claim: p.Claim, Source: p.Source, Row: p.Row, Requirement: p.Requirement,
		Experiments: []ExperimentResult{}}
	from := time.Now()
	means, err := s.provide(p)
	if err != nil {
		r.Reason = &Reason{kind(err), guarantee.Text(err.Error())}
	} else {
		s.execute(p, means, &r)
		if err := means.remove(); err != nil {
			r.Reason = &Reason{Failed, guarantee.Text("cleanup: " + err.Error())}
			s.leftover(err)
		}
	}
	r.Window = guarantee.Since(from)
	r.settle()
	r.Verdict = s.verdict(p, &r)
	return r
}

// execute starts the process, tells it what to do, reads what it says, and ends it.
func (s *session) execute(p *Probe, m *means, r *Result) {
	// The process dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(s.config.Program[0], s.config.Program[1:]...)
	cmd.Env = append(os.Environ(), Env+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for what still holds the pipes
	var out, problems limited
	cmd.Stdout, cmd.Stderr = &out, &problems
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.Reason = &Reason{Failed, guarantee.Text("starting its process: " + err.Error())}
		return
	}
	g := group{leader: cmd.Process.Pid}
	late := time.AfterFunc(p.limit(), g.kill)
	defer s.killWhenInterrupted(&g)()
	if err := m.enter(cmd.Process.Pid); err == nil {
		err = json.NewEncoder(in).Encode(request{Probe: p.ID, Sabotage: s.config.sabotage, Folder: m.folder,
			Cgroup: m.cgroup(), Unified: m.pressure()})
		if err != nil && !errors.Is(err, syscall.EPIPE) {
			r.Reason = &Reason{Failed, guarantee.Text(err.Error())}
		}
	} else {
		r.Reason = &Reason{kind(err), guarantee.Text("cgroup: " + err.Error())}
	}
	in.Close()
	waited := g.end(cmd)
	hung := !late.Stop()
	done := r.hear(&out)
	switch {
	case r.Reason != nil:
	case s.ctx.Err() != nil:
		r.Reason = &Reason{Failed, "interrupted"}
	case hung:
		r.Reason = &Reason{Hung, fmt.Sprintf("it did not end within %v", p.limit())}
	case waited != nil && !errors.Is(waited, exec.ErrWaitDelay):
		r.Reason = &Reason{Crashed, guarantee.Text("its process: " + waited.Error() + firstLine(problems.buffer.Bytes()))}
	case !done:
		r.Reason = &Reason{Crashed, guarantee.Text("its process ended without a last word" + firstLine(problems.buffer.Bytes()))}
	}
}

// killWhenInterrupted kills the group when the run is interrupted, until the returned
// function is called.
func (s *session) killWhenInterrupted(g *group) (stop func()) {
	ended := make(chan struct{})
	go func() {
		select {
		case <-s.ctx.Done():
			g.kill()
		case <-ended:
		}
	}()
	return func() { close(ended) }
}

// group is the process of a probe and whatever it has started: they are one process group. Once
// the leader has been waited for, its number may be that of another group of the host.
type group struct {
	leader int
	mu     sync.Mutex
	reaped bool
}

// kill kills all of them.
func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reaped {
		syscall.Kill(-g.leader, syscall.SIGKILL)
	}
}

// end waits until the leader has ended, kills those that it leaves, and takes its status.
func (g *group) end(cmd *exec.Cmd) error {
	err := sys.WaitExit(g.leader)
	g.kill()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	return errors.Join(err, cmd.Wait())
}

// hear takes what the process said, and reports whether it came to an end.
func (r *Result) hear(out *limited) (done bool) {
	dec := json.NewDecoder(&out.buffer)
	for {
		var e event
		if err := dec.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) && r.Reason == nil {
				r.Reason = &Reason{Crashed, "what it said makes no sense: " + guarantee.Text(err.Error())}
			}
			return done
		}
		r.take(e)
		done = done || e.Done
	}
}

func (r *Result) take(e event) {
	if e.Experiment != nil {
		r.Experiments = append(r.Experiments, *e.Experiment)
	}
	if e.Note != nil {
		r.Notes = append(r.Notes, *e.Note)
	}
	if e.Reason != nil && r.Reason == nil {
		r.Reason = e.Reason
	}
	r.SecretPages = max(r.SecretPages, e.Secret)
}

// limited keeps the first bytes of what is written to it, and drops the rest. The buffer is not
// embedded: its ReadFrom, which io.Copy takes where there is one, knows no limit.
type limited struct{ buffer bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	l.buffer.Write(b[:min(len(b), most-l.buffer.Len())])
	return len(b), nil
}

// firstLine is the begin of what a process said on standard error: of a Go program that
// crashed, what it died of.
func firstLine(text []byte) string {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return ""
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return ": " + string(line)
}

package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/safevma/safevma/guarantee"
)

// trial is one run of a probe, in the process made for it.
type trial struct {
	request request
	dir     string // the temporary folder, where it asked for one

	mu      sync.Mutex
	out     *json.Encoder
	failure error // of writing

	secret int   // pages of secret memory it has had at once
	kept   []any // what must not be closed before the end
}

// event is what the process of a probe tells its starter: one JSON value a line.
type event struct {
	Experiment *ExperimentResult `json:"experiment,omitempty"`
	Note       *Note             `json:"note,omitempty"`
	Reason     *Reason           `json:"reason,omitempty"`
	Secret     int               `json:"secret,omitempty"`
	Done       bool              `json:"done,omitempty"`
	// Stage is the answer of a stage, see [trial.stage].
	Stage []Answer `json:"stage,omitempty"`
}

func newTrial(r request, out io.Writer) *trial {
	return &trial{request: r, out: json.NewEncoder(out), dir: r.Folder}
}

func (t *trial) tell(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.out.Encode(e); err != nil && t.failure == nil {
		t.failure = err
	}
}

// run runs a probe to its end, or to its first [trial.stop].
func (t *trial) run(p *Probe) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// What a thread has (children that die with it, tracees, privileges) stays with the
		// probe. It is never unlocked: the thread ends with the probe.
		runtime.LockOSThread()
		p.run(t)
		t.tell(event{Done: true})
	}()
	<-done
}

// stop ends the probe: its outcome is unknown. It does not return.
func (t *trial) stop(why Why, format string, args ...any) {
	t.tell(event{Reason: &Reason{why, guarantee.Text(fmt.Sprintf(format, args...))}, Done: true})
	runtime.Goexit()
}

// must stops the probe where its preparation failed.
func (t *trial) must(what string, err error) {
	if err != nil {
		t.stop(kind(err), "%s: %v", what, err)
	}
}

// note records what was seen and decides nothing.
func (t *trial) note(name, format string, args ...any) {
	t.tell(event{Note: &Note{name, guarantee.Text(fmt.Sprintf(format, args...))}})
}

// controlAnswer makes a control, or breaks it where that was asked for.
func (t *trial) controlAnswer(own, swap func() Answer) Answer {
	switch t.request.Sabotage {
	case swapped:
		return swap()
	case deaf:
		return "(nothing)"
	}
	return own()
}

// span is how long something is tried. Where the controls are broken on purpose it does not
// matter for how long.
func (t *trial) span(d time.Duration) time.Duration {
	if t.request.Sabotage != "" {
		return d / 20
	}
	return d
}

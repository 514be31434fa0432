package guard

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
)

// Three processes stand between who asks and the program. The launcher starts the outer one, init
// of a PID namespace of its own, which sets what the namespace has and starts the inner one, init of
// a namespace in that, which starts the target, watches over it, and reaps. The target confines
// itself and executes the program. Launcher and inner one talk over a socket, in JSON.

// order is what the stages get to know.
type order struct {
	Settings Settings `json:"settings"`
	Path     string   `json:"path"` // of the program
	Args     []string `json:"args"`
	Env      []string `json:"env"`
	Keep     []int    `json:"keep,omitempty"` // capabilities that it keeps
	// Ignored are the signals that the launcher was started to ignore, as nohup(1) does.
	Ignored []int `json:"ignored,omitempty"`
	// Skip are rules that are not applied, though they are on: a test sees to it that it is found.
	Skip []Rule `json:"skip,omitempty"`
	// Alone: the namespaces are there without the setting for which they were made.
	Alone bool `json:"alone,omitempty"`
}

// applies reports whether a rule is to be applied.
func (o *order) applies(r Rule) bool { return o.Settings.on(r) && !slices.Contains(o.Skip, r) }

// message is what one side tells the other.
type message struct {
	Step   *Step          `json:"step,omitempty"`   // applied, or not
	Asked  *observation   `json:"asked,omitempty"`  // what the program was made to try
	Look   bool           `json:"look,omitempty"`   // the program is at its first instruction, to be looked at
	Ready  bool           `json:"ready,omitempty"`  // and is to begin
	Failed string         `json:"failed,omitempty"` // nothing was started
	Go     bool           `json:"go,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
	// Stopped, Ended: the program was stopped, or has ended.
	Stopped syscall.Signal `json:"stopped,omitempty"`
	Ended   *uint32        `json:"ended,omitempty"` // a wait status
}

// Step says whether a rule could be applied.
type Step struct {
	Rule   Rule   `json:"rule"`
	Detail string `json:"detail,omitempty"`
	Err    string `json:"error,omitempty"`
}

// observation is a call that the program made, and one beside it that shows what it would give else.
type observation struct {
	Rule    Rule   `json:"rule"`
	Call    string `json:"call"`
	Got     string `json:"got"`
	Want    string `json:"want"`
	Control string `json:"control"`
	// Shown: the control gave something else, as it should.
	Shown bool `json:"shown"`
}

// wire is one end of the socket. Several goroutines may send.
type wire struct {
	socket *os.File
	in     *json.Decoder
	mu     sync.Mutex // protects writing
	out    *json.Encoder
}

func newWire(socket *os.File) *wire {
	return &wire{socket: socket, in: json.NewDecoder(socket), out: json.NewEncoder(socket)}
}

func (w *wire) send(m message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Encode(m)
}

// receive returns the next message, io.EOF where the other side is gone.
func (w *wire) receive() (m message, err error) {
	if err := w.in.Decode(&m); err != nil {
		if _, broken := err.(*os.PathError); broken {
			err = io.EOF
		}
		return message{}, err
	}
	return m, nil
}

// step tells how applying a rule went.
func (w *wire) step(r Rule, detail string, err error) {
	s := &Step{Rule: r, Detail: detail}
	if err != nil {
		s.Err = err.Error()
	}
	_ = w.send(message{Step: s}) // who does not listen any more has ended, and so does this process
}

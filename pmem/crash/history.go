package crash

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Model is what a structure should be, without a medium: operations are applied to it in
// all orders that the history allows. It is needed where operations overlap.
type Model interface {
	// Clone returns a copy that shares nothing that an operation changes.
	Clone() Model
	// String returns what Dump returns for a structure in that state.
	String() string
}

// legal is what a recovery may find at some moment.
type legal struct {
	absent bool            // nothing, since creation was not acknowledged
	any    bool            // no dump is made: only Check decides
	dumps  map[string]bool // states
	when   string          // in words
}

var (
	errAbsent = errors.New("nothing is there, though its creation was acknowledged")
	errState  = errors.New("the recovered state is none that the history allows")
)

// judge says what is wrong with an outcome at a moment.
func (l *legal) judge(o *outcome) error {
	switch {
	case o.absent && l.absent:
		return nil
	case o.absent:
		return fmt.Errorf("%w: %w", errAbsent, o.err)
	case o.err != nil:
		return o.err
	case l.any || l.dumps[o.dump]:
		return nil
	}
	return fmt.Errorf("%w:\n  recovered: %s\n  allowed:   %s", errState, clip(o.dump), l.describe())
}

func (l *legal) describe() string {
	var all []string
	for _, dump := range slices.Sorted(maps.Keys(l.dumps)) {
		all = append(all, clip(dump))
	}
	if l.absent {
		all = append(all, "nothing at all")
	}
	return strings.Join(all, "\n          or ")
}

// clip keeps a message readable.
func clip(s string) string {
	const most = 600
	if s == "" {
		return "(empty)"
	}
	if len(s) > most {
		return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
	}
	return s
}

// history follows the operations and says what is legal.
type history interface {
	// begin starts an operation, and acknowledge ends it. Both return what is legal from
	// then on.
	begin(op *operation) (*legal, error)
	acknowledge(op *operation) (*legal, error)
	// end holds the structure that lives against the history.
	end(dump string) error
}

// operation is one that the workload asked for.
type operation struct {
	id      int
	number  int // among those that change the state, or 0 for a reopening
	name    string
	reopens bool
	relaxed bool // its acknowledgement promises no durability
	effect  func(Model) string
	result  string
	err     error
}

var errOverlap = errors.New("operations overlap: the workload needs a Model, and its operations Apply")

// dumps is the history of operations one after the other: what is legal are the states
// that the living structure itself had.
type dumps struct {
	dump   func() (string, error) // of the living structure
	states []string               // since the last operation that is durable
	after  map[int]string         // of each operation, by its number
	known  map[int]string         // the same, of a run in which none failed
	busy   bool
}

func (h *dumps) begin(op *operation) (*legal, error) {
	if h.busy {
		return nil, errOverlap
	}
	h.busy = true
	// The state after it is not known yet: acknowledge adds it to what begin returned.
	return h.legal(), nil
}

func (h *dumps) legal() *legal {
	l := &legal{dumps: map[string]bool{}}
	for _, s := range h.states {
		l.dumps[s] = true
	}
	return l
}

func (h *dumps) acknowledge(op *operation) (*legal, error) {
	h.busy = false
	state, err := h.dump()
	if err != nil {
		return nil, fmt.Errorf("dump after %s: %w", op.name, err)
	}
	h.after[op.number] = state
	h.states = append(h.states, state)
	if whole, ok := h.known[op.number]; ok && op.err != nil && op.number > 0 {
		h.states = append(h.states, whole) // it may have taken effect, though nobody sees it now
	}
	if op.err == nil && !op.relaxed {
		h.states = []string{state}
	}
	return h.legal(), nil
}

func (h *dumps) end(string) error { return nil }

// unwatched is the history of a workload without a dump: Check alone decides.
type unwatched struct{}

func (unwatched) begin(*operation) (*legal, error)       { return &legal{any: true}, nil }
func (unwatched) acknowledge(*operation) (*legal, error) { return &legal{any: true}, nil }
func (unwatched) end(string) error                       { return nil }

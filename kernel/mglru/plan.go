package mglru

import (
	"errors"
	"fmt"
	"time"
)

// Errors of an [Outcome].
var (
	// ErrGone: the group is there no more.
	ErrGone = errors.New("the group is gone")
	// ErrNotAged: the kernel took the command, and made no younger generation.
	ErrNotAged = errors.New("no younger generation was made")
)

// Step is what is to be done with one group on one node.
type Step struct {
	Memcg uint64
	Path  string
	// Before is how it was when the step was planned.
	Before Node
	// Command is nil where there is nothing to do; Why says why.
	Command *Command
	Why     string
}

// PlanAge returns a step for each node that makes a younger generation.
func PlanAge(list []Memcg, o AgeOptions) []Step {
	return plan(list, func(m *Memcg, n *Node) (*Command, string) {
		if len(n.Generations) == 0 {
			return nil, "it has no generations"
		}
		c := Age(m.ID, n.ID, n.youngest(), o)
		return &c, ""
	})
}

// EvictOptions say what to evict.
type EvictOptions struct {
	// Idle: what has been idle for at least so long, as far as the kernel has looked.
	Idle time.Duration
	// Swappiness and Pages, of each node of each group, are those of [Evict].
	Swappiness int
	Pages      uint64
}

// spared is how many generations, the youngest, the kernel never evicts on demand.
const spared = 2

// PlanEvict returns a step for each node that evicts its generations that have been idle for
// long enough. The error is of the options.
func PlanEvict(list []Memcg, o EvictOptions) ([]Step, error) {
	if _, err := Evict(0, 0, 0, o.Swappiness, o.Pages); err != nil {
		return nil, err
	}
	return plan(list, func(m *Memcg, n *Node) (*Command, string) {
		upTo, why := n.idleSince(o.Idle)
		if why != "" {
			return nil, why
		}
		c, _ := Evict(m.ID, n.ID, upTo, o.Swappiness, o.Pages)
		return &c, ""
	}), nil
}

func plan(list []Memcg, of func(*Memcg, *Node) (*Command, string)) []Step {
	steps := []Step{}
	for i := range list {
		for j := range list[i].Nodes {
			n := &list[i].Nodes[j]
			s := Step{Memcg: list[i].ID, Path: list[i].Path, Before: *n}
			s.Command, s.Why = of(&list[i], n)
			steps = append(steps, s)
		}
	}
	return steps
}

// youngest is the number of the youngest generation; there must be one.
func (n *Node) youngest() uint64 { return n.Generations[len(n.Generations)-1].Seq }

// Pages is how many pages all its generations hold.
func (n *Node) Pages() (pages uint64) {
	for _, g := range n.Generations {
		pages += g.Anon + g.File
	}
	return pages
}

// idleSince returns the youngest generation that may be evicted and has been idle for so
// long: as long as the next younger one is old. why says why there is none.
func (n *Node) idleSince(idle time.Duration) (upTo uint64, why string) {
	last := len(n.Generations) - spared
	if last <= 0 {
		return 0, fmt.Sprintf("it has %d generations, and the %d youngest are never evicted: age it first", len(n.Generations), spared)
	}
	for i := last - 1; i >= 0; i-- {
		if n.Generations[i+1].Age >= idle {
			if held := (&Node{Generations: n.Generations[:i+1]}).Pages(); held == 0 {
				return 0, fmt.Sprintf("nothing has been idle for %v", idle)
			}
			return n.Generations[i].Seq, ""
		}
	}
	return 0, fmt.Sprintf("no generation has been idle for %v: the kernel has not aged it for that long", idle)
}

// Outcome is what became of a step.
type Outcome struct {
	Step
	// After is nil where the group is gone, or its node is.
	After *Node
	// Err is the kernel's, [ErrGone] or [ErrNotAged].
	Err error
}

// Do carries out steps in order, each whether or not others fail, and reads what the kernel
// shows then. The error is of that reading.
//
// Groups come and go: the kernel takes the number of a group, and gives that of one that was
// removed to another. A step for a group that was removed since it was planned may so reach
// another group; hence plan and do without delay.
func (f FS) Do(steps []Step) ([]Outcome, error) {
	done := make([]Outcome, len(steps))
	for i, s := range steps {
		done[i].Step = s
		if s.Command != nil {
			done[i].Err = f.Run(*s.Command)
		}
	}
	list, err := f.Generations(false)
	if err != nil {
		return done, err
	}
	for i := range done {
		done[i].judge(list)
	}
	return done, nil
}

// judge compares what there was with what there is.
func (o *Outcome) judge(list []Memcg) {
	for _, m := range list {
		for _, n := range m.Nodes {
			if m.ID == o.Memcg && m.Path == o.Path && n.ID == o.Before.ID {
				o.After = &n
			}
		}
	}
	switch {
	case o.Command == nil:
	case o.After == nil:
		o.Err = ErrGone
	case o.Err == nil && o.Command.ages() && len(o.After.Generations) > 0 && o.After.youngest() <= o.Before.youngest():
		o.Err = ErrNotAged
	}
}

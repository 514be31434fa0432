package crash

import (
	"errors"
	"math/rand/v2"
	"runtime"
)

// ErrDeadlock reports goroutines that all wait for each other.
var ErrDeadlock = errors.New("deadlock: every goroutine waits")

// scheduler lets one goroutine run at a time. At each call of the medium and of its locks it
// chooses, by its seed, who goes on.
type scheduler struct {
	random  *rand.Rand
	tasks   []*task // not yet over
	current *task
	over    bool // what is left is ended
	dead    bool
	done    chan struct{} // closed when no task is left
	choices uint64        // a hash of what was chosen
}

// task is a goroutine.
type task struct {
	resume     chan struct{}
	ready      func() bool // nil: can go on
	background bool        // ended when only such are left
}

func newScheduler(seed uint64) *scheduler {
	return &scheduler{random: rand.New(rand.NewPCG(seed, 0x5ced)), done: make(chan struct{})}
}

// run runs the first goroutine, and returns when all are over.
func (s *scheduler) run(fn func()) error {
	s.start(fn, false)
	s.current = s.tasks[0]
	s.current.resume <- struct{}{}
	<-s.done
	if s.dead {
		return ErrDeadlock
	}
	return nil
}

// adopt makes the caller the first goroutine. It leaves in the end.
func (s *scheduler) adopt() {
	s.current = &task{resume: make(chan struct{})}
	s.tasks = append(s.tasks, s.current)
}

// leave ends all but the caller, who was adopted.
func (s *scheduler) leave() {
	s.over = true
	if s.tasks = s.tasks[1:]; len(s.tasks) > 0 {
		s.tasks[0].resume <- struct{}{}
		<-s.done
	}
}

// start adds a goroutine. It does not run yet.
func (s *scheduler) start(fn func(), background bool) {
	t := &task{resume: make(chan struct{}), background: background}
	s.tasks = append(s.tasks, t)
	go func() {
		<-t.resume
		defer s.finish(t) // by runtime.Goexit too
		if !s.over {
			fn()
		}
	}()
}

func (s *scheduler) finish(t *task) {
	foreground := false
	var left []*task
	for _, other := range s.tasks {
		if other != t {
			left = append(left, other)
			foreground = foreground || !other.background
		}
	}
	if s.tasks = left; len(left) == 0 {
		close(s.done)
		return
	}
	s.over = s.over || !foreground
	s.current = s.choose()
	s.current.resume <- struct{}{}
}

// choose picks who goes on. Where nobody can, all are ended.
func (s *scheduler) choose() *task {
	var able []*task
	for _, t := range s.tasks {
		if t.ready == nil || t.ready() {
			able = append(able, t)
		}
	}
	if len(able) == 0 && !s.over {
		s.dead, s.over = true, true
	}
	if s.over {
		return s.tasks[0]
	}
	i := 0
	if len(able) > 1 {
		i = s.random.IntN(len(able))
		s.choices = s.choices*1099511628211 + uint64(i) + 1
	}
	return able[i]
}

// wait lets others go on until ready; nil is a point at which they may.
func (s *scheduler) wait(ready func() bool) {
	if s.over {
		return
	}
	me := s.current
	me.ready = ready
	if next := s.choose(); next != me {
		s.current = next
		next.resume <- struct{}{}
		<-me.resume
	}
	if me.ready = nil; s.over {
		runtime.Goexit()
	}
}

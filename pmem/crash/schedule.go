package crash

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
)

// ErrDeadlock reports goroutines that all wait for each other.
var ErrDeadlock = errors.New("deadlock: every goroutine waits")

// scheduler lets one goroutine of the workload run at a time. At each call of the medium
// and of a lock it chooses, by its seed, who goes on.
type scheduler struct {
	random  *rand.Rand
	tasks   []*task // not yet over
	current *task
	dead    bool
	done    chan struct{} // closed when no task is left
	choices uint64        // a hash of what was chosen: two schedules with one hash are one
}

// task is a goroutine of the workload.
type task struct {
	resume chan struct{}
	ready  func() bool // nil: can go on
}

func newScheduler(seed uint64) *scheduler {
	return &scheduler{random: rand.New(rand.NewPCG(seed, 0x5ced)), done: make(chan struct{})}
}

// run runs the first goroutine, and returns when all are over.
func (s *scheduler) run(fn func()) error {
	s.start(fn)
	s.current = s.tasks[0]
	s.current.resume <- struct{}{}
	<-s.done
	if s.dead {
		return ErrDeadlock
	}
	return nil
}

// start adds a goroutine. It does not run yet.
func (s *scheduler) start(fn func()) {
	t := &task{resume: make(chan struct{})}
	s.tasks = append(s.tasks, t)
	go func() {
		<-t.resume
		defer s.finish(t) // by runtime.Goexit too
		if !s.dead {
			fn()
		}
	}()
}

func (s *scheduler) finish(t *task) {
	for i, other := range s.tasks {
		if other == t {
			s.tasks = append(s.tasks[:i], s.tasks[i+1:]...)
			break
		}
	}
	if len(s.tasks) == 0 {
		close(s.done)
		return
	}
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
	if len(able) == 0 || s.dead {
		s.dead = true
		return s.tasks[0]
	}
	i := 0
	if len(able) > 1 {
		i = s.random.IntN(len(able))
		s.choices = s.choices*1099511628211 + uint64(i) + 1
	}
	return able[i]
}

// yield is a point at which another goroutine may go on.
func (s *scheduler) yield() { s.wait(nil) }

// wait lets others go on until ready.
func (s *scheduler) wait(ready func() bool) {
	if s == nil || s.dead {
		return
	}
	me := s.current
	me.ready = ready
	next := s.choose()
	if next != me {
		s.current = next
		next.resume <- struct{}{}
		<-me.resume
	}
	me.ready = nil
	if s.dead {
		runtime.Goexit()
	}
}

// lock is a mutex whose calls are scheduling points.
type lock struct {
	s    *scheduler
	held bool
}

func (l *lock) Lock() {
	l.s.wait(func() bool { return !l.held })
	l.held = true
}

func (l *lock) Unlock() {
	l.held = false
	l.s.yield()
}

// Cond is a condition variable, as in package sync.
type Cond struct {
	L       sync.Locker
	s       *scheduler
	waiting []*bool
	real    *sync.Cond // outside a workload
}

// Wait unlocks, waits to be woken, and locks again.
func (c *Cond) Wait() {
	if c.s == nil {
		c.real.Wait()
		return
	}
	woken := false
	c.waiting = append(c.waiting, &woken)
	c.L.Unlock()
	c.s.wait(func() bool { return woken })
	c.L.Lock()
}

// Signal wakes one that waits.
func (c *Cond) Signal() {
	if c.s == nil {
		c.real.Signal()
	} else if len(c.waiting) > 0 {
		*c.waiting[0] = true
		c.waiting = c.waiting[1:]
	}
}

// Broadcast wakes all that wait.
func (c *Cond) Broadcast() {
	if c.s == nil {
		c.real.Broadcast()
		return
	}
	for _, w := range c.waiting {
		*w = true
	}
	c.waiting = nil
}

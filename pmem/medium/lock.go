package medium

import (
	"runtime"
	"sync"
	"time"
)

// Scheduler is a [Recorder] that decides which goroutine goes on: one runs at a time. Each
// call of a recorded medium, and of the locks below, asks it first.
type Scheduler interface {
	// Wait is a point at which another goroutine may go on. It returns when ready reports
	// true; nil is always ready.
	Wait(ready func() bool)
	// Go starts a goroutine.
	Go(fn func())
}

// Mutex is a mutual exclusion lock. Its zero value is an ordinary one; on a recorded medium
// that of [Medium.NewMutex] is a scheduling point. It is not persistent.
type Mutex struct {
	scheduler Scheduler
	held      bool
	mu        sync.Mutex
}

// NewMutex returns an unlocked lock for what shares this medium.
func (m *Medium) NewMutex() *Mutex { return &Mutex{scheduler: m.scheduler} }

// Lock waits for the lock and takes it.
func (l *Mutex) Lock() {
	if l.scheduler != nil {
		l.scheduler.Wait(func() bool { return !l.held })
		l.held = true
		return
	}
	l.mu.Lock()
}

// TryLock takes the lock if nobody holds it.
func (l *Mutex) TryLock() bool {
	if l.scheduler != nil {
		l.scheduler.Wait(nil)
		free := !l.held
		l.held = true
		return free
	}
	return l.mu.TryLock()
}

// Unlock releases the lock.
func (l *Mutex) Unlock() {
	if l.scheduler != nil {
		l.held = false
		l.scheduler.Wait(nil)
		return
	}
	l.mu.Unlock()
}

// Cond is a condition variable, as in package sync.
type Cond struct {
	L       *Mutex
	waiting []*bool
	real    *sync.Cond
}

// NewCond returns a condition variable of a lock.
func NewCond(l *Mutex) *Cond { return &Cond{L: l, real: sync.NewCond(&l.mu)} }

// Wait unlocks, waits to be woken, and locks again.
func (c *Cond) Wait() {
	s := c.L.scheduler
	if s == nil {
		c.real.Wait()
		return
	}
	woken := false
	c.waiting = append(c.waiting, &woken)
	c.L.Unlock()
	s.Wait(func() bool { return woken })
	c.L.Lock()
}

// Signal wakes one that waits.
func (c *Cond) Signal() {
	if c.L.scheduler == nil {
		c.real.Signal()
	} else if len(c.waiting) > 0 {
		*c.waiting[0] = true
		c.waiting = c.waiting[1:]
	}
}

// Broadcast wakes all that wait.
func (c *Cond) Broadcast() {
	if c.L.scheduler == nil {
		c.real.Broadcast()
		return
	}
	for _, w := range c.waiting {
		*w = true
	}
	c.waiting = nil
}

// Await returns when ready reports true: it is for words that other goroutines change without
// a lock.
func (m *Medium) Await(ready func() bool) {
	if m.scheduler != nil {
		m.scheduler.Wait(ready)
		return
	}
	for i := 0; !ready(); i++ {
		if i < spins {
			runtime.Gosched()
		} else {
			time.Sleep(pause) // who is awaited waits for a disk
		}
	}
}

// spins is how often Await lets others run before it sleeps, and pause how long it does then.
const (
	spins = 100
	pause = 20 * time.Microsecond
)

// Go starts a goroutine that uses the medium.
func (m *Medium) Go(fn func()) {
	if m.scheduler != nil {
		m.scheduler.Go(fn)
		return
	}
	go fn()
}

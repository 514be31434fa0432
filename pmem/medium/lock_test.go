package medium_test

import (
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// turns is a scheduler that takes down where it was asked, and runs what is started when
// somebody waits for something.
type turns struct {
	trace
	asked   int
	started []func()
}

func (s *turns) Wait(ready func() bool) {
	s.asked++
	for ready != nil && !ready() && len(s.started) > 0 {
		fn := s.started[0]
		s.started = s.started[1:]
		fn()
	}
	if ready != nil && !ready() {
		panic("deadlock")
	}
}

func (s *turns) Go(fn func()) { s.started = append(s.started, fn) }

// handOver is a protocol with a lock, a condition and a word: one goroutine waits for another.
func handOver(t *testing.T, m *medium.Medium) {
	t.Helper()
	mu := m.NewMutex()
	c := medium.NewCond(mu)
	full, word := 0, 0
	mu.Lock()
	if mu.TryLock() {
		t.Error("a lock that is held was taken")
	}
	for i := range 2 {
		m.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			full++
			if i == 0 {
				c.Signal()
			} else {
				c.Broadcast()
			}
		})
	}
	for full < 2 {
		c.Wait()
	}
	mu.Unlock()
	if !mu.TryLock() {
		t.Error("a lock that is free was not taken")
	}
	m.Go(func() { mu.Lock(); word = 1; mu.Unlock() })
	mu.Unlock()
	m.Await(func() bool { mu.Lock(); defer mu.Unlock(); return word == 1 })
}

func TestLocks(t *testing.T) {
	m, err := medium.NewVolatile(4096, 4096)
	ok(t, err)
	defer m.Close()
	handOver(t, m)
}

// On a recorded medium each call of the medium and of a lock asks the scheduler.
func TestScheduledLocks(t *testing.T) {
	s := new(turns)
	m, err := medium.Record(make([]byte, 64), medium.Emulation{Kind: medium.DAX}, s)
	ok(t, err)
	handOver(t, m)
	if s.asked < 12 {
		t.Errorf("the scheduler was asked %d times", s.asked)
	}
	p := m.Pin()
	defer p.Unpin()
	for name, call := range map[string]func() error{
		"Store": func() error { return m.Store(0, []byte{1}, 0) }, "Store8": func() error { return m.Store8(0, 1, 0) },
		"Write": func() error { return m.Write(0, make([]byte, 8), 0) }, "Persist": func() error { return m.Persist(0, 8) },
		"Flush": func() error { return p.Flush(0, 8) }, "Fence": p.Fence, "Stream": func() error { return p.Stream(0, make([]byte, 8), 0) },
		"Read": func() error { return m.Read(0, make([]byte, 8)) }, "CompareAndSwap8": func() error { return second(m.CompareAndSwap8(0, 9, 9, 0)) },
		"SyncFile": m.SyncFile, "Link": m.Link, "SyncDirectory": m.SyncDirectory, "StorePersist8": func() error { return m.StorePersist8(0, 1, 0) },
	} {
		before := s.asked
		if ok(t, call()); s.asked == before {
			t.Errorf("%s is no scheduling point", name)
		}
	}
}

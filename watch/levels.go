package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/cgroup"
)

// levelOOM is told beside the levels of memory.pressure_level: nothing could be reclaimed.
const levelOOM = "oom"

// levelEvery is how often an event of one level is told at most: the kernel tells of every
// few hundred pages that it looks at.
const levelEvery = time.Second

// WatchLevels waits for pressure on the memory of a group of version 1, as the kernel tells
// it by memory.pressure_level and memory.oom_control, until ctx ends or the group is removed.
// As [Watch] it calls fn for each event, one at a time, and returns how many there were of
// level medium or above: "low" only says that memory is reclaimed.
func WatchLevels(ctx context.Context, group cgroup.Ref, fn func(Event) error) (confirmed int, err error) {
	notices, err := levelNotices(group.Dir)
	if err != nil {
		return 0, &TargetError{group.Path, err}
	}
	ctx, stop := context.WithCancel(ctx)
	s := &levels{name: guarantee.Text(group.Path), fn: fn, stop: stop}
	s.tell(Event{Kind: Armed, Asked: "levels", Trigger: "levels"})
	var running sync.WaitGroup
	for level, notice := range notices {
		running.Go(func() {
			defer notice.Close()
			s.wait(ctx, level, notice)
		})
	}
	running.Wait()
	stop()
	if s.err == nil {
		s.tell(Event{Kind: Finished, Confirmed: s.confirmed, Unconfirmed: s.unconfirmed})
	}
	return s.confirmed, s.err
}

func levelNotices(dir string) (map[string]*cgroup.Notice, error) {
	notices := map[string]*cgroup.Notice{}
	var errs []error
	add := func(level string, n *cgroup.Notice, err error) {
		if err == nil {
			notices[level] = n
		}
		errs = append(errs, err)
	}
	for _, level := range []cgroup.Level{cgroup.Low, cgroup.Medium, cgroup.Critical} {
		n, err := cgroup.WatchPressure(dir, level)
		add(string(level), n, err)
	}
	n, err := cgroup.WatchOOM(dir)
	add(levelOOM, n, err)
	err = errors.Join(errs...)
	if err != nil {
		for _, n := range notices {
			err = errors.Join(err, n.Close())
		}
	}
	return notices, err
}

// levels is one session. mu protects all of it.
type levels struct {
	mu                     sync.Mutex
	name                   string
	fn                     func(Event) error
	confirmed, unconfirmed int
	gone                   bool
	err                    error
	stop                   func()
}

// wait passes on the events of one level.
func (s *levels) wait(ctx context.Context, level string, n *cgroup.Notice) {
	const look = 100 * time.Millisecond // for the end of ctx
	for ctx.Err() == nil {
		fired, err := n.Wait(look)
		switch {
		case errors.Is(err, cgroup.ErrGone):
			s.tell(Event{Kind: Gone})
			return
		case err != nil:
			s.fail(err)
			return
		case fired:
			s.tell(Event{Kind: Level, Level: level})
			select {
			case <-ctx.Done():
			case <-time.After(levelEvery):
			}
		}
	}
}

func (s *levels) tell(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || e.Kind == Gone && s.gone {
		return
	}
	switch {
	case e.Kind == Gone: // all of the notices say so
		s.gone = true
		s.stop()
	case e.Kind == Level && e.Level == string(cgroup.Low):
		s.unconfirmed++
	case e.Kind == Level:
		s.confirmed++
	}
	e.Schema, e.At, e.Target = EventSchema, time.Now().UTC(), "memory of "+s.name
	if e.Kind == Finished {
		e.Target = ""
	}
	if s.err = s.fn(e); s.err != nil {
		s.stop()
	}
}

func (s *levels) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
	s.stop()
}

package psi

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Watcher waits for many triggers. Add and Close may be called while Run runs.
type Watcher struct {
	epoll *sys.Epoll
	wake  *os.File                            // ends the waiting
	open  func(path string) (*os.File, error) // the kernel's files
	arm   func(f *os.File, text string) error // write(2) of a trigger
	read  func(path string) (Pressure, error) // [Read]
	now   func() time.Time

	mu      sync.Mutex     // protects what follows
	armed   map[int]*armed // by descriptor
	running bool
	closed  bool
}

// armed is one trigger, with the sums of stalls at the begin of the last windows.
type armed struct {
	file *os.File
	path string
	spec Spec
	// marks are at least a window apart, the oldest first.
	marks []mark
	told  mark // the last confirmed event
}

type mark struct {
	at    time.Time
	total time.Duration
}

// Event is what a trigger told; or what the sums show of which it has not told in time. The
// kernel judges triggers without the capability when it renews the averages, every 2 s. So
// does who reads the file then, and judges no trigger: while somebody reads often, an event
// comes many seconds late, or never (psi_show and psi_avgs_work of kernel/sched/psi.c).
type Event struct {
	Path string
	Spec Spec // as it was armed
	At   time.Time
	// Confirmed: the sum of stalls grew by the threshold or more since Since, which is two
	// windows ago or when the trigger was armed. One that is not confirmed is false.
	Confirmed bool
	Stalled   time.Duration // by how much it grew
	Since     time.Time
	Pressure  Pressure
	// Gone: the cgroup was removed. It is the last event of its trigger, and says nothing
	// of pressure.
	Gone bool
}

// ErrClosed: the Watcher was closed.
var ErrClosed = errors.New("the watcher is closed")

// NewWatcher makes a Watcher without triggers. Close it.
func NewWatcher() (*Watcher, error) {
	epoll, err := sys.NewEpoll()
	if err != nil {
		return nil, err
	}
	wake, err := sys.Eventfd()
	if err != nil {
		return nil, errors.Join(err, epoll.Close())
	}
	if err := epoll.Add(wake, sys.EpollReadable); err != nil {
		return nil, errors.Join(err, wake.Close(), epoll.Close())
	}
	return &Watcher{epoll: epoll, wake: wake, open: openTrigger, arm: armTrigger, read: Read, now: time.Now, armed: map[int]*armed{}}, nil
}

func openTrigger(path string) (*os.File, error) {
	return sys.OpenAt(sys.AtFDCWD, path, sys.ORdwr|syscall.O_NONBLOCK)
}

func armTrigger(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}

// Add arms a trigger on a file of pressure, and returns what it waits for: the spec, or
// [Spec.Widened] where the kernel refuses that for want of CAP_SYS_RESOURCE. Errors:
// [ErrSpec], [ErrAbsent], [ErrOff], [ErrClosed], or the kernel's.
func (w *Watcher) Add(path string, spec Spec) (Spec, error) {
	if err := spec.Validate(); err != nil {
		return spec, err
	}
	got, err := w.add(path, spec)
	if errors.Is(err, syscall.EINVAL) && !spec.Unprivileged() {
		return w.add(path, spec.Widened())
	}
	return got, err
}

func (w *Watcher) add(path string, spec Spec) (Spec, error) {
	p, err := w.read(path) // before it is armed: all that it may tell of is behind this mark
	if err != nil {
		return spec, err
	}
	first := mark{w.now(), p.Line(spec.Kind).Total}
	f, err := w.open(path)
	if err != nil {
		return spec, classify(err)
	}
	if err := w.arm(f, spec.text()); err != nil {
		return spec, errors.Join(classify(err), f.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return spec, errors.Join(ErrClosed, f.Close())
	}
	fd := int(f.Fd())
	w.armed[fd] = &armed{file: f, path: path, spec: spec, marks: []mark{first}}
	if err := w.epoll.Add(f, sys.EpollPriority); err != nil {
		delete(w.armed, fd)
		return spec, errors.Join(err, f.Close())
	}
	return spec, nil
}

// Close ends the triggers, and Run with [ErrClosed].
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	var errs []error
	for fd, a := range w.armed {
		errs = append(errs, a.file.Close())
		delete(w.armed, fd)
	}
	if w.running {
		w.wakeUp() // Run closes the rest
	} else {
		errs = append(errs, w.wake.Close(), w.epoll.Close())
	}
	return errors.Join(errs...)
}

// wakeUp adds to the eventfd: a number of 8 bytes, in any order more than nothing.
func (w *Watcher) wakeUp() { _, _ = w.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// begin reports whether Run may begin.
func (w *Watcher) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := !w.closed && !w.running
	w.running = w.running || ok
	return ok
}

// end closes the Watcher after Run.
func (w *Watcher) end() {
	w.mu.Lock()
	w.running = false
	closed := w.closed
	w.mu.Unlock()
	if !closed {
		_ = w.Close()
		return
	}
	_ = errors.Join(w.wake.Close(), w.epoll.Close())
}

// Run calls fn for each event, in its own goroutine, until ctx ends, fn returns an error,
// or the Watcher is closed; which it is afterwards.
func (w *Watcher) Run(ctx context.Context, fn func(Event) error) error {
	if !w.begin() {
		return ErrClosed
	}
	defer w.end()
	defer context.AfterFunc(ctx, w.wakeUp)()
	for {
		events, err := w.wait()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.isClosed():
			return ErrClosed
		}
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

func (w *Watcher) wait() (events []Event, err error) {
	due, events := w.mark()
	if len(events) > 0 {
		return events, nil
	}
	err = w.epoll.Wait(int(due.Milliseconds())+1, func(fd int, what uint32) {
		if e, ok := w.event(fd, what); ok {
			events = append(events, e)
		}
	})
	return events, err
}

func (w *Watcher) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// mark notes the sums of all triggers whose last mark is a window ago. It returns events of
// those that grew enough meanwhile without having told, and how long until the next is due.
func (w *Watcher) mark() (due time.Duration, events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	due = WindowMax
	for _, a := range w.armed {
		now := w.now()
		if last := a.marks[len(a.marks)-1]; now.Sub(last.at) >= a.spec.Window {
			if p, err := w.read(a.path); err == nil {
				if p.Line(a.spec.Kind).Total-max(last.total, a.told.total) >= a.spec.Stall {
					events = append(events, a.judge(now, p))
				}
				a.note(mark{now, p.Line(a.spec.Kind).Total})
			}
		}
		due = min(due, max(a.spec.Window-now.Sub(a.marks[len(a.marks)-1].at), time.Millisecond))
	}
	return due, events
}

// note keeps a mark, and of the older ones the newest that is two windows before it.
func (a *armed) note(m mark) {
	a.marks = append(a.marks, m)
	for len(a.marks) > 2 && m.at.Sub(a.marks[1].at) >= 2*a.spec.Window {
		a.marks = a.marks[1:]
	}
}

// baseline is the newest mark that is two windows old, or the oldest there is. The kernel
// adds to a window what it reckons of the one before: an event is for stalls within two.
func (a *armed) baseline(now time.Time) mark {
	best := a.marks[0]
	for _, m := range a.marks {
		if now.Sub(m.at) >= 2*a.spec.Window {
			best = m
		}
	}
	return best
}

// event judges what epoll told of a descriptor.
func (w *Watcher) event(fd int, what uint32) (Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.armed[fd]
	if !ok { // the waking, or a trigger that was closed meanwhile
		return Event{}, false
	}
	now := w.now()
	p, err := w.read(a.path)
	if what&(sys.EpollError|sys.EpollHangup) != 0 || err != nil {
		delete(w.armed, fd)
		_ = a.file.Close()
		return Event{Path: a.path, Spec: a.spec, At: now, Since: a.baseline(now).at, Gone: true}, true
	}
	if now.Sub(a.told.at) < a.spec.Window && p.Line(a.spec.Kind).Total-a.told.total < a.spec.Stall {
		return Event{}, false // of stalls that were told already
	}
	return a.judge(now, p), true
}

// judge makes an event of what was read.
func (a *armed) judge(now time.Time, p Pressure) Event {
	from, total := a.baseline(now), p.Line(a.spec.Kind).Total
	e := Event{Path: a.path, Spec: a.spec, At: now, Since: from.at, Pressure: p, Stalled: total - from.total}
	e.Confirmed = e.Stalled >= a.spec.Stall
	if e.Confirmed {
		a.told = mark{now, total}
	}
	return e
}

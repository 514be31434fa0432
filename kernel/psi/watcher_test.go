package psi

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"
)

// run runs the Watcher, and returns its events one by one.
func run(t *testing.T, w *Watcher) func() Event {
	t.Helper()
	events, done := make(chan Event), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		done <- w.Run(ctx, func(e Event) error {
			select {
			case events <- e:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return func() Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case err := <-done:
			done <- err
			t.Fatal("ended:", err)
		case <-time.After(20 * time.Second):
			t.Fatal("no event")
		}
		return Event{}
	}
}

const (
	group  = "group/memory.pressure"
	second = time.Second
)

// Without the capability the window is widened, the threshold with it; with it, it is not.
func TestWidened(t *testing.T) {
	k, w := newFake(t)
	got, err := w.Add(group, Spec{Some, 150 * time.Millisecond, second})
	if want := (Spec{Some, 300 * time.Millisecond, 2 * second}); err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	k.privileged = true
	if got, err := w.Add("other", Spec{Full, 150 * time.Millisecond, second}); err != nil || got != (Spec{Full, 150 * time.Millisecond, second}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []Spec{{Some, 1, 3 * second}, {Some, 100, 9 * second}, {Some, second, 500 * time.Millisecond}} {
		if wide := s.Widened(); !wide.Unprivileged() || wide.Window < s.Window || wide.Window > WindowMax {
			t.Errorf("%v widened is %v", s, wide)
		}
	}
}

func TestRefused(t *testing.T) {
	k, w := newFake(t)
	for _, s := range []Spec{{"none", 1, second}, {Some, 2 * second, second}, {Some, 0, second}, {Some, 100, 400 * time.Millisecond}, {Some, 100, 11 * second}} {
		if _, err := w.Add(group, s); !errors.Is(err, ErrSpec) {
			t.Errorf("%v: %v", s, err)
		}
	}
	k.off = true
	if _, err := w.Add(group, Spec{Some, second, 2 * second}); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
	w.open = openTrigger
	if _, err := w.Add(t.TempDir()+"/none", Spec{Some, second, 2 * second}); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}

// An event that comes without stalls, such as the first one of an unprivileged trigger, is
// not confirmed; one with them is. Long after, the stalls of then do not count any more.
func TestFalseEvents(t *testing.T) {
	k, w := newFake(t)
	k.totals[group] = 1000 * second // of long ago
	if _, err := w.Add(group, Spec{Some, second, 2 * second}); err != nil {
		t.Fatal(err)
	}
	events := run(t, w)
	next := func() Event { // the loopback may wake the loop twice for what was sent once
		for {
			if e := events(); e.At.Equal(w.now()) {
				return e
			}
		}
	}
	k.pass(group, second, 100*time.Millisecond)
	k.fire(group)
	if e := next(); e.Confirmed || e.Stalled != 100*time.Millisecond || e.Gone {
		t.Errorf("the first event is taken for true: %+v", e)
	}
	k.pass(group, second, 1500*time.Millisecond)
	k.fire(group)
	if e := next(); !e.Confirmed || e.Stalled != 1600*time.Millisecond {
		t.Errorf("a true event is not confirmed: %+v", e)
	}
	for range 4 { // the loop notes the sums as time goes by
		k.pass(group, 2*second, 0)
		w.wakeUp()
		time.Sleep(20 * time.Millisecond)
		w.mark()
	}
	k.fire(group)
	if e := next(); e.Confirmed || e.Stalled != 0 {
		t.Errorf("an event without new stalls: %+v", e)
	}
}

// Where others read the file, the trigger does not tell: the sums do, once for the same stalls.
func TestTriggerIsLate(t *testing.T) {
	k, w := newFake(t)
	if _, err := w.Add(group, Spec{Some, second, 2 * second}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stalled time.Duration
		events  int
	}{{900 * time.Millisecond, 0}, {1100 * time.Millisecond, 1}, {0, 0}, {1900 * time.Millisecond, 1}} {
		k.pass(group, 2*second, c.stalled)
		_, events := w.mark()
		if len(events) != c.events || len(events) == 1 && (!events[0].Confirmed || events[0].Stalled < c.stalled) {
			t.Errorf("after stalls of %v: %+v", c.stalled, events)
		}
	}
	for fd := range w.armed {
		if e, ok := w.event(fd, 0); ok {
			t.Errorf("the trigger tells again: %+v", e)
		}
		k.pass(group, second, second)
		if e, ok := w.event(fd, 0); !ok || !e.Confirmed {
			t.Errorf("new stalls are not told: %+v", e)
		}
	}
}

// Stalls count for two windows, and not longer, also between two marks.
func TestBaseline(t *testing.T) {
	start := time.Unix(1000, 0)
	a := armed{spec: Spec{Some, second, 2 * second}, marks: []mark{{start, 0}}}
	a.note(mark{start.Add(2 * second), 5 * second})
	a.note(mark{start.Add(4 * second), 5 * second})
	for after, want := range map[time.Duration]time.Duration{5900 * time.Millisecond: 0, 6 * second: 5 * second} {
		if got := a.baseline(start.Add(after)); got.total != want {
			t.Errorf("after %v: %v, want %v", after, got.total, want)
		}
	}
	for i := range 100 {
		a.note(mark{start.Add(time.Duration(6+2*i) * second), 5 * second})
	}
	if len(a.marks) > 4 {
		t.Errorf("%d marks are kept", len(a.marks))
	}
}

// An event between two marks is judged by the newest that is two windows old.
func TestEventBaseline(t *testing.T) {
	k, w := newFake(t)
	if _, err := w.Add(group, Spec{Some, second, 2 * second}); err != nil {
		t.Fatal(err)
	}
	k.pass(group, 2*second, 5*second)
	w.mark()
	k.pass(group, 2*second, 0)
	w.mark()
	k.pass(group, 2*second, 0)
	for fd := range w.armed {
		if e, ok := w.event(fd, 0); !ok || e.Confirmed || e.Stalled != 0 {
			t.Errorf("stalls of three windows ago count: %+v", e)
		}
	}
}

// The kind says which sum counts.
func TestFull(t *testing.T) {
	k, w := newFake(t)
	if _, err := w.Add(group, Spec{Full, second, 2 * second}); err != nil {
		t.Fatal(err)
	}
	next := run(t, w)
	k.pass(group, second, 1500*time.Millisecond) // of which 750 ms full
	k.fire(group)
	if e := next(); e.Confirmed || e.Stalled != 750*time.Millisecond {
		t.Errorf("%+v", e)
	}
}

func TestGone(t *testing.T) {
	k, w := newFake(t)
	for _, path := range []string{group, "stays"} {
		if _, err := w.Add(path, Spec{Some, second, 2 * second}); err != nil {
			t.Fatal(err)
		}
	}
	next := run(t, w)
	k.remove(group)
	if e := next(); !e.Gone || e.Confirmed || e.Path != group {
		t.Errorf("%+v", e)
	}
	k.pass("stays", second, 2*second)
	k.fire("stays")
	if e := next(); e.Gone || !e.Confirmed || e.Path != "stays" {
		t.Errorf("%+v", e)
	}
}

func TestClose(t *testing.T) {
	_, w := newFake(t)
	done := make(chan error)
	go func() { done <- w.Run(context.Background(), func(Event) error { return nil }) }()
	for { // until it runs
		w.mu.Lock()
		running := w.running
		w.mu.Unlock()
		if running {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := w.Add(group, Spec{Some, second, 2 * second}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := w.Run(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// The fake has the kernel's errors, as far as they can be had without pressure: the same
// triggers on the real file.
func TestFakeIsLikeTheKernel(t *testing.T) {
	if _, err := Read(memory); err != nil {
		t.Skip(err)
	}
	k, _ := newFake(t)
	for _, text := range []string{"some 1000 2000000\x00", "full 1000 10000000\x00", "some 1000 12000000\x00", "some 3000000 2000000\x00", "none 1 2000000\x00", "some 0 2000000\x00", "\x00"} {
		real, err := openTrigger(memory)
		if err != nil {
			t.Skip(err)
		}
		fake, err := k.open("x")
		if err != nil {
			t.Fatal(err)
		}
		want, got := armTrigger(real, text), k.arm(fake, text)
		if errno(want) != errno(got) {
			t.Errorf("%q: the kernel says %v, the fake %v", text, want, got)
		}
		if want == nil {
			if again, fakes := armTrigger(real, text), k.arm(fake, text); errno(again) != errno(fakes) {
				t.Errorf("%q once more: the kernel says %v, the fake %v", text, again, fakes)
			}
		}
		real.Close()
		fake.Close()
	}
}

func errno(err error) syscall.Errno {
	var e syscall.Errno
	errors.As(err, &e)
	return e
}

func TestParseSpec(t *testing.T) {
	for _, s := range []Spec{{Some, 150 * time.Millisecond, second}, {Full, 2 * second, 10 * second}} {
		if got, err := ParseSpec(s.String()); err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	for _, text := range []string{"", "some", "some 1/2", "some 1s", "any 1s/2s", "some 3s/2s", "some 1s/20s"} {
		if s, err := ParseSpec(text); !errors.Is(err, ErrSpec) {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

// What is read as a trigger is one that the kernel takes from somebody, and is written so
// that it is read again.
func FuzzParseSpec(f *testing.F) {
	f.Add("some 150ms/1s")
	f.Add("full 2s/10s")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpec(text)
		if err != nil {
			if !errors.Is(err, ErrSpec) {
				t.Error(err)
			}
			return
		}
		if again, err := ParseSpec(s.String()); err != nil || again != s {
			t.Errorf("%q: %v, then %v, %v", text, s, again, err)
		}
		if wide := s.Widened(); wide.Validate() != nil || !wide.Unprivileged() {
			t.Errorf("%v widened is %v", s, wide)
		}
	})
}

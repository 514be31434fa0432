package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// story is a run over a pool whose medium fails at some event.
type story struct {
	image   []byte   // what is there when the process ends
	events  int      // so far
	failing int      // the event that fails, from 1
	how     error    // it
	acked   []string // transactions that returned nil
	unknown []string // that may be durable
	failed  bool
	killed  bool // it ends without Close
}

// hear fails one event.
func (s *story) hear(e medium.Event) error {
	s.events++
	if s.events == s.failing {
		s.failed = true
		if _, ok := s.how.(memoryFault); ok {
			panic(s.how)
		}
		return s.how
	}
	return nil
}

// memoryFault is a store that faults, as the runtime reports it.
type memoryFault struct{}

func (memoryFault) Error() string { return "a fault that a test made" }
func (memoryFault) Addr() uintptr { return 0 }

func (s *story) medium(kind medium.Kind) (*medium.Medium, error) {
	return medium.Record(s.image, medium.Emulation{Kind: kind}, &injector{event: s.hear})
}

// life opens or makes the pool, and commits. Each transaction pushes a number and a big object, and
// each third one frees what the one before it made.
func (s *story) life(kind medium.Kind, create bool, from, to int) error {
	m, err := s.medium(kind)
	if err != nil {
		return err
	}
	start := OpenOn
	if create {
		start = CreateOn
	}
	p, err := start(m, hostileOptions())
	if err != nil {
		return s.expect(err)
	}
	for i := from; i < to; i++ {
		name := fmt.Sprintf("%d", i)
		err := p.Update(ctx, func(tx *Tx) error { return s.push(tx, i) })
		switch {
		case err == nil:
			s.acked = append(s.acked, name)
			continue
		case errors.Is(err, ErrOutcomeUnknown):
			s.unknown = append(s.unknown, name)
		}
		if err := s.expect(err); err != nil {
			return err
		}
		if err := s.stopped(p, i); err != nil {
			return err
		}
	}
	if s.killed {
		return nil
	}
	if err := s.expect(p.Checkpoint(ctx)); err != nil {
		return err
	}
	return s.expect(p.Close())
}

// expect returns an error that nothing was made to cause.
func (s *story) expect(err error) error {
	how := s.how
	if _, ok := how.(memoryFault); ok {
		how = medium.ErrFault
	}
	if err == nil || s.failed && (errors.Is(err, how) || errors.Is(err, ErrPoisoned)) {
		return nil
	}
	return fmt.Errorf("unexpected: %w", err)
}

// push makes an object that refers to the last one.
func (s *story) push(tx *Tx, i int) error {
	last, err := Root[entry](tx, "last")
	if err != nil && !errors.Is(err, ErrType) {
		return err
	}
	e := entry{Number: uint64(i), Before: last}
	if e.Body, err = AllocBytes(tx, pattern(i, []int{10, 300, 1500, 3000}[i%4])); err != nil {
		return err
	}
	r, err := Alloc(tx, e)
	if err == nil && i%3 == 2 && !last.IsNil() {
		err = s.drop(tx, last)
	}
	return errors.Join(err, SetRoot(tx, "last", r))
}

// drop frees the body of an entry.
func (s *story) drop(tx *Tx, r Ref[entry]) error {
	e, err := Get(tx, r)
	if err == nil && !e.Body.IsNil() {
		err = Free(tx, e.Body)
		e.Body = Ref[Bytes]{}
	}
	return errors.Join(err, Set(tx, r, e))
}

type entry struct {
	Number uint64
	Body   Ref[Bytes]
	Before Ref[entry]
}

// stopped checks a pool that failed: it reads, and takes no changes.
func (s *story) stopped(p *Pool, i int) error {
	all, err := s.read(p)
	switch {
	case err != nil && !errors.Is(err, ErrPoisoned):
		return fmt.Errorf("a view after the failure: %w", err)
	case err == nil && !s.legal(all):
		return fmt.Errorf("a view after the failure: %v, acknowledged %v", all, s.acked)
	}
	if p.broken() == nil {
		return nil // what failed was before anything was durable
	}
	if err := p.Update(ctx, func(tx *Tx) error { return s.push(tx, i) }); !errors.Is(err, ErrPoisoned) {
		return fmt.Errorf("a change after the failure: %w", err)
	}
	if err := p.Checkpoint(ctx); !errors.Is(err, ErrPoisoned) {
		return fmt.Errorf("a checkpoint after the failure: %w", err)
	}
	return nil
}

// read returns the numbers of the entries, and checks their bodies.
func (s *story) read(p *Pool) (all []string, err error) {
	err = p.View(ctx, func(tx *Tx) error {
		all = nil
		r, err := Root[entry](tx, "last")
		if errors.Is(err, ErrType) {
			return nil
		}
		for err == nil && !r.IsNil() {
			var e entry
			if e, err = Get(tx, r); err != nil {
				break
			}
			all = append([]string{fmt.Sprint(e.Number)}, all...)
			r = e.Before
			if e.Body.IsNil() {
				continue
			}
			n := int(e.Number)
			b, err := AppendBytes(tx, e.Body, nil)
			if want := pattern(n, []int{10, 300, 1500, 3000}[n%4]); err != nil || !bytes.Equal(b, want) {
				return fmt.Errorf("the body of %d is wrong: %w", n, err)
			}
		}
		return err
	})
	return all, err
}

// legal reports whether entries are those of all transactions that were acknowledged, and perhaps
// of the one whose outcome is unknown.
func (s *story) legal(all []string) bool {
	if fmt.Sprint(all) == fmt.Sprint(s.acked) {
		return true
	}
	return len(s.unknown) > 0 && fmt.Sprint(all) == fmt.Sprint(append(s.acked[:len(s.acked):len(s.acked)], s.unknown[0]))
}

// again opens the pool where nothing fails, twice.
func (s *story) again(kind medium.Kind) error {
	for range 2 {
		s.failing = 0
		m, err := s.medium(kind)
		if err != nil {
			return err
		}
		p, err := OpenOn(m, hostileOptions())
		if err != nil {
			return err
		}
		all, err := s.read(p)
		if err != nil || !s.legal(all) {
			return fmt.Errorf("%v, acknowledged %v, unknown %v: %w", all, s.acked, s.unknown, err)
		}
		s.acked, s.unknown = all, nil
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

const storyLength = 14

// TestFailingEvents fails each event of a run in turn, until none is left: with EIO, with a short
// write, and with a fault.
func TestFailingEvents(t *testing.T) {
	start, runs := time.Now(), 0
	for _, kind := range []medium.Kind{medium.DAX, medium.PageCache} {
		for _, how := range []error{syscall.EIO, medium.ShortWrite(8), medium.ShortWrite(40), memoryFault{}} {
			n := 1
			for ; ; n++ {
				s := &story{image: make([]byte, hostileSize), failing: n, how: how}
				runs++
				if err := s.oneLife(kind); err != nil {
					t.Errorf("%v, event %d, %v: %v", kind, n, how, err)
				}
				if !s.failed || t.Failed() {
					break
				}
			}
			t.Logf("%v, %v: %d events", kind, how, n-1)
		}
	}
	t.Log(runs, "runs", time.Since(start).Round(time.Millisecond))
}

// oneLife runs a story in which the first life may fail, and the second one works.
func (s *story) oneLife(kind medium.Kind) error {
	if err := s.life(kind, true, 0, storyLength); err != nil {
		return err
	}
	err := s.again(kind)
	if errors.Is(err, ErrNoPool) && len(s.acked)+len(s.unknown) == 0 {
		return nil // creating it failed
	}
	if err != nil {
		return fmt.Errorf("reopened: %w", err)
	}
	return s.life(kind, false, 100, 104)
}

// TestFailingRecovery fails each event of opening a pool that was killed, and opens it again.
func TestFailingRecovery(t *testing.T) {
	start, runs := time.Now(), 0
	for _, kind := range []medium.Kind{medium.DAX, medium.PageCache} {
		for length := 1; length < storyLength; length++ {
			first := &story{image: make([]byte, hostileSize), killed: true}
			if err := first.life(kind, true, 0, length); err != nil {
				t.Fatal(err)
			}
			for n := 1; ; n++ {
				s := &story{image: bytes.Clone(first.image), failing: n, how: syscall.EIO, acked: first.acked}
				runs++
				if err := s.failOpen(kind); err != nil {
					t.Fatalf("%v, %d transactions, event %d: %v", kind, length, n, err)
				}
				if !s.failed {
					break
				}
			}
		}
	}
	t.Log(runs, "runs", time.Since(start).Round(time.Millisecond))
}

// failOpen opens a pool, which may fail, and then again.
func (s *story) failOpen(kind medium.Kind) error {
	m, err := s.medium(kind)
	if err != nil {
		return err
	}
	if _, err := OpenOn(m, hostileOptions()); (err != nil) != s.failed || s.expect(err) != nil {
		return fmt.Errorf("open: %w", err)
	}
	return s.again(kind)
}

// TestPoisonedLines makes each read of a run fail in turn, as a line that can't be read does: what
// needs it says so, and the rest can be read.
func TestPoisonedLines(t *testing.T) {
	w := newWorld(t)
	start, step := time.Now(), int64(64)
	if !nightly {
		step = 64 * 3
	}
	if raceEnabled || testing.Short() {
		step = 64 * 61
	}
	c := new(tally)
	w.each(t, int(hostileSize/step), func(i int, image []byte) error {
		line := int64(i) * step
		poison := func(off, n int64) error {
			if off < line+64 && off+n > line {
				return syscall.EIO
			}
			return nil
		}
		last := w.last()
		legal := func(bool) []contents { return last[1:] }
		if err := tryOn(image, &injector{read: poison}, c, true, legal); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		return nil
	})
	t.Log(c, time.Since(start).Round(time.Millisecond))
}

// TestFailingReads makes each read of a run fail once.
func TestFailingReads(t *testing.T) {
	w := newWorld(t)
	start, c := time.Now(), new(tally)
	step := 1
	if raceEnabled || testing.Short() {
		step = 41
	}
	last := w.last()
	for n := 1; ; n += step {
		reads := 0
		image := bytes.Clone(w.image)
		once := func(off, length int64) error {
			if reads++; reads == n {
				return syscall.EIO
			}
			return nil
		}
		if err := tryOn(image, &injector{read: once}, c, true, func(bool) []contents { return last[1:] }); err != nil {
			t.Fatalf("read %d: %v", n, err)
		}
		if reads < n {
			break
		}
	}
	t.Log(c, time.Since(start).Round(time.Millisecond))
}

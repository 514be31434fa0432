package tracefs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Event is a record of the ring buffer.
type Event struct {
	Time uint64 // nanoseconds of CLOCK_MONOTONIC
	CPU  int
	Type uint16 // the ID of its format
	Data []byte // with the fields that all events have; valid until fn returns
	// Missed is what the CPU lost before.
	Missed Missed
}

// cpu is the buffer of one CPU, and what was read of it and not passed on.
type cpu struct {
	number int
	pipe   *os.File
	missed Missed // no event came after it yet
	queue  []queued
	bytes  []byte // of the events in the queue
}

// queued is an event that waits for those of other CPUs.
type queued struct {
	time   uint64
	end    int // in bytes; it begins where the one before ends
	missed Missed
}

// pagesAtOnce bounds what is read of one CPU before the others are.
const pagesAtOnce = 256

// Read calls fn for what was recorded since the last time, of all CPUs in the order of
// time. It does not wait. What is so new that another CPU could still come before it is
// kept for the next time, unless last says that none comes. What is kept is bounded by
// what the CPUs have within the time between two calls.
//
// An event whose CPU had lost some says so. Errors are those of reading, of pages that are
// not as the kernel describes them, and of fn.
func (i *Instance) Read(last bool, fn func(Event) error) error {
	for {
		more, upTo, err := i.fill()
		if err != nil {
			return err
		}
		if last && !more {
			upTo = ^uint64(0)
		}
		if err := i.emit(upTo, fn); err != nil || !more {
			return err
		}
	}
}

// fill reads some pages of each CPU. upTo is until when all events are known; more says
// that there are pages left.
func (i *Instance) fill() (more bool, upTo uint64, err error) {
	now, err := sys.Monotonic()
	if err != nil {
		return false, 0, err
	}
	upTo = uint64(now)
	for _, c := range i.cpus {
		empty, err := i.drain(c)
		if err != nil {
			return false, 0, fmt.Errorf("cpu %d: %w", c.number, err)
		}
		if !empty { // it may have more from before now
			more = true
			if n := len(c.queue); n > 0 {
				upTo = min(upTo, c.queue[n-1].time)
			}
		}
	}
	return more, upTo, nil
}

// drain reads pages of one CPU, and reports whether there are no more.
func (i *Instance) drain(c *cpu) (empty bool, err error) {
	for range pagesAtOnce {
		n, err := sys.ReadNow(c.pipe, i.page)
		if errors.Is(err, syscall.EAGAIN) || err == nil && n == 0 {
			return true, nil
		}
		if err != nil {
			return false, classify(err)
		}
		time, data, missed, err := i.layout.split(i.page[:n])
		if err != nil {
			return false, err
		}
		c.missed.Some = c.missed.Some || missed.Some
		c.missed.Events += missed.Events
		if err := events(time, data, c.add); err != nil {
			return false, err
		}
	}
	return false, nil
}

// add puts an event into the queue. Time never goes back on one CPU, but for what the
// kernel's clock does; then it is said to be as late as the one before.
func (c *cpu) add(time uint64, data []byte) error {
	if n := len(c.queue); n > 0 {
		time = max(time, c.queue[n-1].time)
	}
	c.bytes = append(c.bytes, data...)
	c.queue = append(c.queue, queued{time, len(c.bytes), c.missed})
	c.missed = Missed{}
	return nil
}

// emit passes on all events up to a time, those of the same time in the order of CPUs.
func (i *Instance) emit(upTo uint64, fn func(Event) error) error {
	taken := make([]int, len(i.cpus)) // of each queue
	defer func() {
		for n, c := range i.cpus {
			c.drop(taken[n])
		}
	}()
	for {
		first := -1
		for n, c := range i.cpus {
			if taken[n] < len(c.queue) && c.queue[taken[n]].time <= upTo &&
				(first < 0 || c.queue[taken[n]].time < i.cpus[first].queue[taken[first]].time) {
				first = n
			}
		}
		if first < 0 {
			return nil
		}
		c := i.cpus[first]
		e := c.event(taken[first])
		taken[first]++
		kind, ok := i.typeAt.Uint(e.Data)
		if !ok {
			return fmt.Errorf("cpu %d: %w: an event of %d bytes", c.number, ErrMalformed, len(e.Data))
		}
		e.Type = uint16(kind)
		if err := fn(e); err != nil {
			return err
		}
	}
}

func (c *cpu) event(n int) Event {
	q, start := c.queue[n], 0
	if n > 0 {
		start = c.queue[n-1].end
	}
	return Event{Time: q.time, CPU: c.number, Data: c.bytes[start:q.end], Missed: q.missed}
}

// drop takes the first events off the queue.
func (c *cpu) drop(n int) {
	if n == 0 {
		return
	}
	cut := c.queue[n-1].end
	c.bytes = c.bytes[:copy(c.bytes, c.bytes[cut:])]
	c.queue = c.queue[:copy(c.queue, c.queue[n:])]
	for j := range c.queue {
		c.queue[j].end -= cut
	}
}

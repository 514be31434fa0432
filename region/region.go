package region

import (
	"fmt"
	"sync"
	"time"
)

// Region is memory with guarantees. Its methods may be called concurrently.
type Region struct {
	has    set
	size   int
	budget *Budget
	key    protectionKey

	// All are parts of one mapping of the kernel: whole is what was mapped, with the guards;
	// pages what can be used, data what the caller asked for. They change at Close alone,
	// under mu.
	whole, pages, data []byte
	// file is what a ReadOnly region shows: it was sealed before, and nobody can take that back.
	file identity
	// oneMapping: the guards are marks in the page tables of the same mapping.
	oneMapping bool
	// hole: making the region failed so that there may be nothing between its guards.
	hole bool
	// marked: the region is retired, and its pages are guards.
	marked bool

	mu     sync.Mutex // protects what follows
	change sync.Cond  // on mu: a window has closed
	// waiting counts who waits for that.
	waiting int
	// readers and writing say who is inside Read and Write. Of a Windowed region the pages are
	// open exactly while one of them is set.
	readers int
	writing bool
	closed  bool
	opened  time.Duration // when the first window opened, on the clock of this package
	windows WindowStats
}

// Map returns a new region of size bytes, which are zero, but for what fills a ReadOnly one.
//
// It fails with [ErrSize], [ErrConflict], [ErrUnsupported] or [ErrLimit]; then nothing is kept:
// no mapping, no descriptor, nothing of a budget.
func Map(size int, options ...Option) (*Region, error) {
	asked := spec{size: size}
	for _, o := range options {
		o.apply(&asked)
	}
	asked.has = asked.has.closed()
	if err := asked.check(); err != nil {
		return nil, err
	}
	r := recycled(&asked)
	if r == nil {
		var err error
		if r, err = newRegion(&asked); err != nil {
			return nil, err
		}
	}
	r.change.L = &r.mu
	return r, nil
}

func (s *spec) check() error {
	if s.size < 1 || s.size > maxSize {
		return &Error{Op: "map", Reason: fmt.Sprintf("%d bytes", s.size), Err: ErrSize}
	}
	if s.has.has(onUse) && s.budget == nil {
		return cannot(onUse, "no budget is given", ErrConflict, nil)
	}
	if s.has.has(readOnly) && s.fill == nil {
		return cannot(readOnly, "no function to fill it is given", ErrConflict, nil)
	}
	return s.has.check()
}

// Size returns the bytes that were asked for.
func (r *Region) Size() int { return r.size }

// Guarantees returns the names of the guarantees that the region has, those that others bring
// along too, in a fixed order.
func (r *Region) Guarantees() []string {
	var names []string
	r.has.each(func(one set) { names = append(names, one.String()) })
	return names
}

// Bytes returns the memory: as many bytes as were asked for. It returns nil for a closed region,
// and for a Windowed one, which Read and Write open. The slice is valid until Close. Of a
// ReadOnly region it can be read alone: a store faults.
func (r *Region) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.has.has(windowed) {
		return nil
	}
	return r.data
}

// Check looks at the canaries of a Guarded region, now: [ErrCorrupt] says that bytes beside the
// data were overwritten. Of a Windowed region it opens a window to read.
func (r *Region) Check() error {
	if !r.has.has(guarded) {
		return r.refuse("check")
	}
	var found error
	if err := r.enter("check", false); err != nil {
		return err
	}
	found = r.checkCanaries("check")
	return firstError(r.leave("check", false), found)
}

// refuse returns the error of a closed region, and nil for an open one.
func (r *Region) refuse(op string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return &Error{Op: op, Err: ErrClosed}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

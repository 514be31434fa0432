package region

import (
	"github.com/safevma/safevma/internal/sys"
)

// Close looks at the canaries, wipes the memory and gives it back: see [Sealed] and [ReadOnly]
// for those that stay mapped. It is refused with [ErrConflict] while Read, Write or Verify is at
// work, and with [ErrClosed] the second time. With [ErrCorrupt] it has closed all the same.
func (r *Region) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return &Error{Op: "close", Err: ErrClosed}
	case r.writing || r.readers > 0:
		return &Error{Op: "close", Reason: "the region is in use", Err: ErrConflict}
	}
	r.closed = true
	r.change.Broadcast()
	found := r.lastLook()
	if err := r.giveBack(); err != nil && found == nil {
		found = &Error{Op: "close", Reason: "the memory was not given back", Err: both(ErrUnsupported, err)}
	}
	r.budget.release(int64(len(r.pages)))
	r.budget, r.data = nil, nil
	return found
}

// lastLook checks the canaries and wipes the memory.
func (r *Region) lastLook() error {
	if r.has.has(windowed) {
		if err := r.open("close", !r.has.has(readOnly)); err != nil {
			return err
		}
		if r.key != noKey { // what is mapped by mprotect is unmapped next
			defer r.key.close()
		}
	}
	var found error
	if r.has.has(guarded) {
		found = r.checkCanaries("close")
	}
	if !r.has.has(readOnly) {
		r.wipe()
	}
	return found
}

// wipe zeroes what is in memory: a page that was never touched is not brought in for it.
func (r *Region) wipe() {
	if r.has.has(resident) || len(r.pages) == pageSize {
		clear(r.pages)
		return
	}
	if eachPresence(r.pages, func(page []byte, present bool) {
		if present {
			clear(page)
		}
	}) != nil {
		clear(r.pages)
	}
}

// giveBack unmaps, or keeps what is sealed for the next.
func (r *Region) giveBack() error {
	if r.has.has(sealed) {
		r.retire()
		return nil
	}
	err := sys.Munmap(r.whole)
	r.key.free()
	return err
}

package region

import (
	"errors"
	"sync"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// WindowStats counts the windows of a region. Windows to read that overlap are open for as long
// as one of them is.
type WindowStats struct {
	Reads, Writes uint64        // calls of Read and of Write
	Open          time.Duration // for how long the region was open in all, up to the last closing
	Longest       time.Duration // without a pause
}

// Windows returns the counts of a Windowed region; of others they are 0.
func (r *Region) Windows() WindowStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.windows
}

// Read calls fn with the memory, to be read, and returns what fn returns. Of a Windowed region
// the memory is open while fn runs, and a store to it faults; of another, nothing but the
// documentation forbids a store. The slice ends with fn: it must not be kept.
func (r *Region) Read(fn func([]byte) error) (err error) {
	if err := r.enter("read", false); err != nil {
		return err
	}
	defer func() {
		err = bothOf(err, r.leave("read", false))
	}()
	return fn(r.data)
}

// Write is as [Region.Read], to be read and written, and by nobody else meanwhile. Of a ReadOnly
// region it fails with [ErrConflict].
func (r *Region) Write(fn func([]byte) error) (err error) {
	if err := r.enter("write", true); err != nil {
		return err
	}
	defer func() {
		err = bothOf(err, r.leave("write", true))
	}()
	return fn(r.data)
}

// bothOf keeps what fn returned as it is where there is nothing else to say.
func bothOf(err, left error) error {
	if err != nil && left != nil {
		return errors.Join(err, left)
	}
	return firstError(err, left)
}

// enter waits until the region may be used so, and opens it.
func (r *Region) enter(op string, write bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if write && r.has.has(readOnly) {
		return about(op, readOnly, "it is read-only", ErrConflict)
	}
	for r.writing || write && r.readers > 0 {
		if r.closed {
			break
		}
		r.waiting++
		r.change.Wait()
		r.waiting--
	}
	if r.closed {
		return &Error{Op: op, Err: ErrClosed}
	}
	if r.has.has(windowed) {
		if err := r.open(op, write); err != nil {
			return err
		}
	}
	r.writing = write
	if !write {
		r.readers++
	}
	return nil
}

// leave ends what enter began.
func (r *Region) leave(op string, write bool) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if write {
		r.writing = false
	} else {
		r.readers--
	}
	if r.has.has(windowed) {
		err = r.close(op)
	}
	if r.waiting > 0 {
		r.change.Broadcast()
	}
	return err
}

// clock is where the monotonic times of windows count from.
var clock = time.Now()

// open opens the memory for one more. It needs mu.
func (r *Region) open(op string, write bool) error {
	if r.key != noKey {
		r.key.open(write)
	} else if r.readers == 0 {
		prot := sys.ProtRead
		if write {
			prot = readWrite
		}
		if err := r.protect(prot); err != nil {
			return about(op, windowed, "the window can't be opened", both(kindOf(err), err))
		}
	}
	if r.readers == 0 {
		r.opened = time.Since(clock)
	}
	if write {
		r.windows.Writes++
	} else {
		r.windows.Reads++
	}
	return nil
}

// close closes it when the last has left. It needs mu.
func (r *Region) close(op string) error {
	if r.key != noKey {
		r.key.close()
	}
	if r.readers > 0 {
		return nil
	}
	if r.key == noKey {
		if err := r.protect(sys.ProtNone); err != nil {
			return about(op, windowed, "the window can't be closed", both(kindOf(err), err))
		}
	}
	open := time.Since(clock) - r.opened
	r.windows.Open += open
	r.windows.Longest = max(r.windows.Longest, open)
	return nil
}

// smallWindow is up to how many bytes a change of the protection takes less than the scheduler of
// Go needs to hear of it.
const smallWindow = 64 << 10

func (r *Region) protect(prot int) error {
	if len(r.pages) <= smallWindow {
		return sys.MprotectNow(r.pages, prot)
	}
	return sys.Mprotect(r.pages, prot)
}

// shut closes a new region: by a protection key where there are some, else by the protection
// of its pages, which a seal would freeze.
func (r *Region) shut() error {
	key, err := newKey()
	if err == nil {
		return r.shutByKey(key)
	}
	if r.has.has(sealed) {
		kind := ErrLimit // all are taken
		if !haveKeys() {
			kind = ErrUnsupported
		}
		return cannot(sealed|windowed,
			"the windows of a sealed region need a protection key of the processor, since a seal refuses mprotect", kind, err)
	}
	if r.has.has(onUse) && !r.has.has(secret) {
		// The kernel stops to account a private mapping that can't be written, unless it has
		// a page that was.
		r.pages[0] = 0
	}
	return r.failed(windowed, "", sys.Mprotect(r.pages, sys.ProtNone))
}

func (r *Region) shutByKey(key protectionKey) error {
	prot := readWrite
	if r.has.has(readOnly) {
		prot = sys.ProtRead
	}
	if err := sys.PkeyMprotect(r.pages, prot, int(key)); err != nil {
		key.free()
		return r.failed(windowed, "", err)
	}
	r.key = key
	return nil
}

// haveKeys reports whether the processor and the kernel have protection keys.
var haveKeys = sync.OnceValue(func() bool {
	key, err := newKey()
	key.free()
	return err == nil
})

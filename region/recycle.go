package region

import (
	"sync"

	"github.com/safevma/safevma/internal/sys"
)

// Sealed memory stays mapped until the process ends. What was closed waits here for the next
// region of the same kind.
var retired = struct {
	sync.Mutex
	waiting map[kind][]*Region
	bytes   int64
	forever int64
}{waiting: map[kind][]*Region{}}

// kind is what a seal has frozen.
type kind struct {
	has    set
	length int // of the pages
}

// RetiredBytes returns how much sealed memory has been closed: what waits to be used again, and
// what is read-only, and stays as it is until the process ends.
func RetiredBytes() (waiting, forever int64) {
	retired.Lock()
	defer retired.Unlock()
	return retired.bytes, retired.forever
}

// retire puts a region aside, wiped and out of reach: where the kernel can, a stale slice
// faults. Guard marks and locks exclude each other, and secret memory takes no guard marks.
func (r *Region) retire() {
	retired.Lock()
	defer retired.Unlock()
	if r.has.has(readOnly) {
		retired.forever += int64(len(r.pages))
		return
	}
	if !r.has.has(secret) {
		_ = sys.Munlock(r.pages)
		r.discard()
	}
	k := kind{r.has, len(r.pages)}
	next := &Region{has: r.has, key: r.key, whole: r.whole, pages: r.pages, marked: r.marked}
	retired.waiting[k] = append(retired.waiting[k], next)
	retired.bytes += int64(len(r.pages))
}

// discard makes the pages inaccessible, or at least frees them: what wipe did not see since it was in
// swap must not come back for the next owner. The kernel refuses both of sealed memory that this
// thread may not write.
func (r *Region) discard() {
	if r.key != noKey {
		r.key.open(true)
		defer r.key.close()
	}
	r.marked = sys.Madvise(r.pages, sys.MadvGuardInstall) == nil
	if !r.marked {
		_ = sys.Madvise(r.pages, sys.MadvDontneed)
	}
}

// recycled returns a retired region for what is asked, as new; nil where there is none, or it
// can't be made so again.
func recycled(asked *spec) *Region {
	if !asked.has.has(sealed) || asked.has.has(readOnly) {
		return nil
	}
	r := takeRetired(kind{asked.has, pagesFor(asked.size)})
	if r == nil {
		return nil
	}
	r.size = asked.size
	if r.charge(asked.budget) != nil || r.revive() != nil {
		r.budget.release(int64(len(r.pages)))
		r.budget = nil
		r.retire()
		return nil
	}
	return r
}

func takeRetired(k kind) *Region {
	retired.Lock()
	defer retired.Unlock()
	list := retired.waiting[k]
	if len(list) == 0 {
		return nil
	}
	r := list[len(list)-1]
	list[len(list)-1] = nil
	retired.waiting[k] = list[:len(list)-1]
	retired.bytes -= int64(len(r.pages))
	return r
}

// revive does again what retire undid, what is no part of the mapping, and what a seal does not keep:
// whoever had the memory before may have taken its advice back.
func (r *Region) revive() error {
	if r.key != noKey {
		r.key.open(true)
		defer r.key.close()
	}
	if r.marked {
		if err := sys.Madvise(r.pages, sys.MadvGuardRemove); err != nil {
			return err
		}
		r.marked = false
	}
	if err := r.advise(); err != nil {
		return err
	}
	if !r.has.has(secret) {
		if err := r.lock(); err != nil {
			return err
		}
	}
	r.arrange()
	if r.has.has(guarded) {
		r.setCanaries(r.pages)
	}
	return nil
}

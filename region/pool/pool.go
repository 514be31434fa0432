package pool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// Options say how big a pool is, and what its memory guarantees.
type Options struct {
	// Size is how many bytes the first arena has; it is rounded up to whole pages of the kernel.
	// 0 is 16 KiB. A page of 4096 bytes has secrets of one class of sizes.
	Size int
	// Most is how many bytes all arenas together may have. Each new one is as big as all before
	// it, or as much of that as the limits allow, so that a pool has few VMAs however much it
	// grows. A pool with Most of 0 does not grow.
	Most int
	// Guarantees are those of each arena. With region.Secret ask for region.Resident too: some
	// kernels refuse secret memory beyond the limit only when it is touched.
	Guarantees []region.Option
}

// Pool is memory for many small secrets.
type Pool struct {
	options  Options
	pattern  pattern
	windowed bool
	nobody   Owner // of secrets that Pool.Alloc hands out

	classes   [len(rooms)]class
	withdrawn atomic.Int64 // slots
	closed    atomic.Bool
	// sealing is what Seal uses; who makes it holds makingSealer.
	sealing      atomic.Pointer[sealer]
	makingSealer sync.Mutex
	// inspecting is held by who looks at pages without a handle, and by who closes the pool.
	inspecting sync.RWMutex

	mu     sync.Mutex
	spare  []*page                  // pages without a class, of which the last is taken first. Protected by mu.
	bytes  int                      // of all arenas. Protected by mu.
	arenas atomic.Pointer[[]*arena] // replaced with mu held, never changed
}

// arena is a region, and its pages.
type arena struct {
	region *region.Region
	number int
	pages  []page
}

// New makes a pool and its first arena: mapped, filled with the pattern and so touched. An error
// of the region says which guarantee can't be given; then nothing is left behind.
func New(o Options) (*Pool, error) {
	if o.Size < 0 || o.Most < 0 || o.Most != 0 && o.Most < o.Size {
		return nil, fmt.Errorf("pool: sizes of %d and at most %d bytes make no sense", o.Size, o.Most)
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	if o.Size == 0 {
		o.Size = 16 << 10
	}
	o.Size = pagesUp(o.Size)
	o.Most = max(o.Most/os.Getpagesize()*os.Getpagesize(), o.Size)
	p := &Pool{options: o, pattern: pattern(binary.NativeEndian.Uint64(seed[:]))}
	p.nobody.pool = p
	p.arenas.Store(&[]*arena{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.addArena(o.Size); err != nil {
		return nil, failed("new", err)
	}
	return p, nil
}

func pagesUp(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// addArena maps one arena more.
//
// Precondition: p.mu is held.
func (p *Pool) addArena(size int) error {
	r, err := region.Map(size, p.options.Guarantees...)
	if err != nil {
		return err
	}
	before := *p.arenas.Load()
	a := &arena{region: r, number: len(before), pages: make([]page, size/pageSize)}
	all := r.Bytes()
	if a.number == 0 { // by New, before anybody else knows the pool
		p.windowed = all == nil
	}
	if err := r.Write(p.fillNew); err != nil {
		return errors.Join(err, r.Close())
	}
	for i := range a.pages {
		pg := &a.pages[i]
		pg.pool, pg.arena, pg.off = p, a, i*pageSize
		pg.class.Store(noClass)
		if !p.windowed {
			pg.bytes = all[pg.off : pg.off+pageSize : pg.off+pageSize]
		}
	}
	for i := len(a.pages) - 1; i >= 0; i-- {
		p.spare = append(p.spare, &a.pages[i])
	}
	p.bytes += size
	arenas := append(before[:len(before):len(before)], a)
	p.arenas.Store(&arenas)
	return nil
}

// fillNew fills a new arena. Some kernels refuse secret memory beyond the limit when it is touched,
// with SIGBUS, and not when it is mapped: so it is the kernel that touches it first.
func (p *Pool) fillNew(b []byte) error {
	if err := sys.TouchPages(b, os.Getpagesize()); err != nil {
		return fmt.Errorf("%w: not all pages can be had: %w", region.ErrLimit, err)
	}
	p.pattern.fill(b, 0)
	return nil
}

// grow maps an arena as big as all that there are, or half of that, and so on down to one page
// of the kernel: what the limit for locked memory leaves is used.
//
// Precondition: p.mu is held.
func (p *Pool) grow() error {
	size := min(p.bytes, p.options.Most-p.bytes)
	if size <= 0 {
		return ErrFull
	}
	for ; ; size = pagesUp(size / 2) {
		err := p.addArena(size)
		if err == nil {
			return nil
		}
		if !errors.Is(err, region.ErrLimit) || size <= os.Getpagesize() {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
}

// Close gives the memory back, which its regions overwrite. All handles are stale then. A pool with
// a secret in use stays as it is: [ErrInUse]. What was written where nothing was handed out is
// reported, and does not keep the pool from being closed.
func (p *Pool) Close() error {
	p.inspecting.Lock()
	defer p.inspecting.Unlock()
	if p.closed.Swap(true) {
		return failed("close", region.ErrClosed)
	}
	if err := p.settle(); err != nil {
		p.closed.Store(false)
		return failed("close", err)
	}
	err := p.inspect()
	for _, a := range *p.arenas.Load() {
		err = errors.Join(err, a.region.Close())
	}
	return failed("close", err)
}

// settle waits until no slot is between two states, and says whether one is in use. The pool is
// closed already: no slot becomes busy that was not, and no user comes who stays.
func (p *Pool) settle() error {
	for i := range p.classes {
		p.classes[i].pass() // who holds the lock saw the pool open
	}
	inUse := false
	p.eachSlot(func(s *slot) {
		state := s.state.Load()
		for ; state&kindMask == busy; state = s.state.Load() {
			runtime.Gosched()
		}
		inUse = inUse || state&userMask != 0
	})
	if inUse {
		return ErrInUse
	}
	return nil
}

// eachSlot calls do for all slots of pages that have a class; no lock is held meanwhile.
func (p *Pool) eachSlot(do func(*slot)) {
	for _, a := range *p.arenas.Load() {
		for i := range a.pages {
			for j, slots := 0, a.pages[i].cutInto(); j < len(slots); j++ {
				do(&slots[j])
			}
		}
	}
}

// cutInto returns the slots of a page, none if it has no class.
func (pg *page) cutInto() []slot {
	c := pg.lock()
	if c == nil {
		return nil
	}
	defer c.mu.Unlock()
	return pg.slots
}

// lock locks the class of a page and returns it, or nil if the page has none.
func (pg *page) lock() *class {
	for {
		c := pg.class.Load()
		if c == noClass {
			return nil
		}
		class := &pg.pool.classes[c]
		class.mu.Lock()
		if pg.class.Load() == c {
			return class
		}
		class.mu.Unlock()
	}
}

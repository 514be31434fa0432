package code

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// maxSize keeps what a publication writes, and what an offset is, small.
const maxSize = 1 << 30

// Arena is a range of addresses for programs.
type Arena struct {
	entry uint64 // address of the first byte

	mu sync.Mutex
	// All that follows is protected by mu.
	all    []byte // the mapping, with a guard before and behind
	place  []byte // between the guards
	image  []byte // staging: what the next publication maps, as long as place
	high   int    // bytes of image that any program has had so far
	chunks chunks
	mapped int          // bytes of place that are executable
	file   sys.FileStat // what they show, which was sealed before
	dirty  bool         // the image differs from what is published
	sealed bool
}

// New reserves addresses for size bytes of programs, rounded up to whole pages. They cost nothing
// until something is published.
func New(size int) (*Arena, error) {
	if size < 1 || size > maxSize {
		return nil, failed("new", region.ErrSize)
	}
	if len(trap) == 0 {
		return nil, failed("new", fmt.Errorf("%w: no instruction that traps is known for this architecture", region.ErrUnsupported))
	}
	page := os.Getpagesize()
	size = pagesUp(size)
	all, err := sys.Mmap(size+2*page, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous|sys.MapNoreserve, -1, 0)
	if err != nil {
		return nil, failed("new", fmt.Errorf("%w: mmap: %w", region.ErrLimit, err))
	}
	a := &Arena{all: all, place: all[page : page+size], image: make([]byte, size), chunks: newChunks(size)}
	a.entry = sys.Addr(a.place)
	fillTraps(a.image)
	return a, nil
}

func pagesUp(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// usable says why an arena takes no changes.
//
// Precondition: a.mu is held.
func (a *Arena) usable() error {
	switch {
	case a.all == nil:
		return region.ErrClosed
	case a.sealed:
		return ErrSealed
	}
	return nil
}

// Publish makes executable what was added since, and takes away what was freed. It takes time for
// all pages of the arena that have programs: publish several at once. If it fails, what was
// published before stays, and executes; before Linux 6.12 it may be gone where there was no memory
// for the mapping.
func (a *Arena) Publish() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(); err != nil {
		return failed("publish", err)
	}
	return failed("publish", a.publish())
}

// publish maps a new image over the old one.
//
// Precondition: a.mu is held.
func (a *Arena) publish() error {
	if !a.dirty {
		return nil
	}
	n := pagesUp(a.high)
	file, err := sealedImage(a.image[:n])
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := sys.Stat(file)
	if err != nil {
		return err
	}
	// One call replaces the pages: who executes there waits for the end of it, and goes on in the
	// same instruction of the new image.
	if err := sys.MmapAt(a.place[:n], sys.ProtRead|sys.ProtExec, sys.MapShared, int(file.Fd()), 0); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	a.mapped, a.dirty, a.file = n, false, st
	return nil
}

const seals = sys.SealWrite | sys.SealShrink | sys.SealGrow | sys.SealSeal

// sealedImage returns a memfd with the bytes of an image, which nobody can write.
func sealedImage(image []byte) (*os.File, error) {
	file, err := sys.MemfdCreate("safevma-code", sys.MfdAllowSealing|sys.MfdNoexecSeal)
	if errors.Is(err, syscall.EINVAL) { // before Linux 6.3
		file, err = sys.MemfdCreate("safevma-code", sys.MfdAllowSealing)
	}
	if err != nil {
		return nil, err
	}
	if err := fillAndSeal(file, image); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func fillAndSeal(file *os.File, image []byte) error {
	if _, err := file.Write(image); err != nil {
		return err
	}
	if err := sys.AddSeals(file, seals); err != nil {
		return err
	}
	has, err := sys.Seals(file)
	if err == nil && has&seals != seals {
		err = ErrSeals
	}
	return err
}

// Seal publishes what was added and makes the mapping immutable (mseal(2), Linux 6.10), the guards
// and what is unused too: for an arena that is full, or whose programs are all there. It stays until
// the process ends. region.ErrUnsupported where the kernel has no mseal; what was added is published
// then.
func (a *Arena) Seal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(); err != nil {
		return failed("seal", err)
	}
	if err := a.publish(); err != nil {
		return failed("seal", err)
	}
	if err := sys.Mseal(a.all); err != nil {
		return failed("seal", fmt.Errorf("%w: mseal: %w", region.ErrUnsupported, err))
	}
	a.sealed = true
	a.image = nil
	return nil
}

// Close unmaps the arena: what still executes there faults. A sealed arena can't be unmapped:
// [ErrSealed], and it stays as it is.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(); err != nil {
		return failed("close", err)
	}
	if err := sys.Munmap(a.all); err != nil {
		return failed("close", os.NewSyscallError("munmap", err))
	}
	a.all, a.place, a.image = nil, nil, nil
	return nil
}

// Sealed says whether the arena is sealed.
func (a *Arena) Sealed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sealed
}

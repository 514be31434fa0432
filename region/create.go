package region

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

const readWrite = sys.ProtRead | sys.ProtWrite

// locks are the guarantees that lock memory.
const locks = secret | resident | noSwap

// newRegion makes a region from the kernel's hand. Sealing comes last: until then all can be
// undone.
func newRegion(asked *spec) (made *Region, err error) {
	r := &Region{has: asked.has, size: asked.size, key: noKey}
	if err := r.charge(asked.budget); err != nil {
		return nil, err
	}
	defer func() {
		if made == nil { // failed, or a panic of the function that fills
			r.abandon()
		}
	}()
	if err := r.reserve(pagesFor(asked.size)); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return r.back(asked.fill) },
		r.advise,
		r.lock,
		r.finish,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// charge takes the pages from the budget.
func (r *Region) charge(budget *Budget) error {
	if budget == nil {
		return nil
	}
	n := int64(pagesFor(r.size))
	if !budget.take(n) {
		reason := fmt.Sprintf("%d bytes would exceed the budget: %d of %d are used", n, budget.Used(), budget.Limit())
		return cannot(onUse, reason, ErrLimit, nil)
	}
	r.budget = budget
	return nil
}

// reserve decides where the pages of a guarded region will be, and has the guards around them:
// that memory is inaccessible, so it counts nowhere.
func (r *Region) reserve(length int) error {
	if !r.has.has(guarded) || r.guardRegions(length) {
		return nil
	}
	whole, err := sys.Mmap(length+2*pageSize, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return r.failed(guarded, "the guards can't be mapped", err)
	}
	r.whole, r.pages = whole, whole[pageSize:pageSize+length:pageSize+length]
	return nil
}

// guardRegions makes a big ordinary region with guards that are marks in its page tables, if
// that can be. It can't be where memory is locked, and a seal does not keep them.
func (r *Region) guardRegions(length int) bool {
	if length < guardRegionMin || r.has&(locks|sealed|readOnly|windowed) != 0 {
		return false
	}
	whole, err := sys.Mmap(length+2*pageSize, readWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return false
	}
	low, high := whole[:pageSize], whole[pageSize+length:]
	if sys.Madvise(low, sys.MadvGuardInstall) != nil || sys.Madvise(high, sys.MadvGuardInstall) != nil {
		_ = sys.Munmap(whole)
		return false
	}
	r.whole, r.pages, r.oneMapping = whole, whole[pageSize:pageSize+length:pageSize+length], true
	return true
}

// back puts memory behind the pages.
func (r *Region) back(fill func([]byte) error) (err error) {
	switch length := pagesFor(r.size); {
	case r.oneMapping:
	case r.has.has(readOnly):
		err = r.backReadOnly(length, fill)
	case r.has.has(secret):
		err = r.backSecret(length)
	case r.pages != nil: // reserved; now the kernel accounts them, or refuses
		err = r.failed(0, "", sys.Mprotect(r.pages, readWrite))
	default:
		r.pages, err = sys.Mmap(length, readWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
		err = r.failed(0, "", err)
	}
	if err != nil {
		return err
	}
	if r.whole == nil {
		r.whole = r.pages
	}
	r.arrange()
	return nil
}

// place puts a new mapping where the pages are reserved. It is made elsewhere first: had the
// kernel to refuse it in that place, for a limit that is reached, older kernels would leave a hole,
// which somebody else may fill before it is cleaned up.
func (r *Region) place(mapping []byte) error {
	if r.pages == nil {
		r.pages = mapping
		return nil
	}
	if _, err := sys.Mremap(mapping, len(mapping), sys.MremapMaymove|sys.MremapFixed, sys.Addr(r.pages)); err != nil {
		_ = sys.Munmap(mapping)
		r.hole = true
		return r.failed(guarded, "the memory can't be moved between its guards", err)
	}
	return nil
}

func (r *Region) backSecret(length int) error {
	b, err := sys.MapSecret(length)
	switch {
	case err == nil:
		return r.place(b)
	case errors.Is(err, syscall.EAGAIN):
		return cannot(secret, "the limit on locked memory (RLIMIT_MEMLOCK) is reached", ErrLimit, err)
	case errors.Is(err, syscall.ENOSYS):
		return cannot(secret, "the kernel has no secret memory, or it is switched off (secretmem.enable)", ErrUnsupported, err)
	}
	return r.failed(secret, "", err)
}

// advise tells the kernel what it may not do with the memory.
func (r *Region) advise() error {
	mapping := r.pages
	if r.oneMapping {
		mapping = r.whole
	}
	for _, a := range []struct {
		of     set
		advice int
	}{{noDump, sys.MadvDontdump}, {noFork, sys.MadvDontfork}, {wipeOnFork, sys.MadvWipeonfork}} {
		if !r.has.has(a.of) {
			continue
		}
		if err := sys.Madvise(mapping, a.advice); err != nil {
			return cannot(a.of, "the kernel refuses the advice", ErrUnsupported, err)
		}
	}
	if r.has.has(noMerge) && r.has&(secret|readOnly) == 0 { // shared memory is never merged
		err := sys.Madvise(mapping, sys.MadvUnmergeable)
		if err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: a kernel without KSM
			return cannot(noMerge, "the kernel refuses the advice", ErrUnsupported, err)
		}
	}
	return nil
}

// lock locks the pages, and brings them in where they must be there.
func (r *Region) lock() error {
	var err error
	switch {
	case r.has.has(secret | resident):
		err = sys.TouchPages(r.pages, pageSize)
	case r.has.has(secret):
		return nil
	case r.has.has(resident), r.has.has(noSwap | readOnly): // the latter are there already
		err = sys.Mlock(r.pages)
	case r.has.has(noSwap):
		err = sys.Mlock2(r.pages, sys.MlockOnFault)
	default:
		return nil
	}
	of := noSwap
	if r.has.has(resident) {
		of = resident
	}
	switch {
	case errors.Is(err, syscall.EPERM):
		return cannot(of, "no memory may be locked (RLIMIT_MEMLOCK is 0)", ErrLimit, err)
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EFAULT):
		return cannot(of, "the limit on locked memory (RLIMIT_MEMLOCK), or the memory, is exhausted", ErrLimit, err)
	case err != nil:
		return r.failed(of, "", err)
	}
	if r.has.has(resident) && !allPresent(r.pages) {
		return cannot(resident, "locking succeeded, but not all pages are in memory", ErrUnsupported, nil)
	}
	return nil
}

// finish sets canaries, closes the window and seals.
func (r *Region) finish() error {
	if r.has.has(guarded) && !r.has.has(readOnly) { // which were filled with theirs
		r.setCanaries(r.pages)
	}
	if r.has.has(windowed) {
		if err := r.shut(); err != nil {
			return err
		}
	}
	if r.has.has(sealed) {
		if err := sys.Mseal(r.whole); isForbidden(err) {
			return r.failed(sealed, "", err)
		} else if err != nil {
			return cannot(sealed, "the kernel has no mseal: that came with Linux 6.10, for 64 bits", ErrUnsupported, err)
		}
	}
	return nil
}

// failed makes the error of a call that makes memory: nil where it did not fail.
func (r *Region) failed(of set, reason string, err error) error {
	if err == nil {
		return nil
	}
	if reason == "" && isForbidden(err) {
		reason = "the system call is forbidden here, by a seccomp filter or a policy"
	}
	return cannot(of, reason, kindOf(err), err)
}

// isForbidden tells a policy from what the kernel lacks.
func isForbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}

// abandon gives back what a region has that was never handed out.
func (r *Region) abandon() {
	if r.whole == nil {
		r.whole = r.pages
	}
	switch {
	case r.hole: // between the guards may be nothing, or what is somebody else's by now
		_ = sys.Munmap(r.whole[:pageSize])
		_ = sys.Munmap(r.whole[len(r.whole)-pageSize:])
	case r.whole != nil:
		_ = sys.Munmap(r.whole)
	}
	r.key.free()
	r.budget.release(int64(pagesFor(r.size)))
}

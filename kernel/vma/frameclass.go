package vma

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/safevma/safevma/kernel/process"
)

// FrameClass is what a page frame is used for, as far as its flags say.
type FrameClass uint8

// The classes. A frame has one.
const (
	FrameIsHole      FrameClass = iota // no memory, or memory that does not work
	FrameIsFree                        // with the page allocator
	FrameIsSlab                        // of the kernel's small objects
	FrameIsPageTable                   // of a process or the kernel
	FrameIsMapped                      // some address space maps it
	FrameIsCache                       // of a file or in swap, and not mapped at the moment
	FrameIsReserved                    // of the kernel's image and early boot, or of firmware; the vDSO, too
	FrameIsKernel                      // anything else: stacks, buffers, lists of free pages of a CPU
	frameClasses
)

// FrameClasses returns all classes.
func FrameClasses() []FrameClass {
	all := make([]FrameClass, frameClasses)
	for i := range all {
		all[i] = FrameClass(i)
	}
	return all
}

// String returns the name of the class.
func (c FrameClass) String() string {
	names := [frameClasses]string{"hole", "free", "slab", "page table", "mapped", "cache", "reserved", "kernel"}
	if c >= frameClasses {
		return "unknown"
	}
	return names[c]
}

// Class returns what the frame is used for. Slab and page tables come before all that
// says something of mappings: the kernel keeps other things in the same fields of struct
// page, so that a slab may also read as anonymous, as mapped or as KSM (Linux 6.18).
func (f FrameFlags) Class() FrameClass {
	switch {
	case f.Has(FrameNoPage), f.Has(FrameHWPoison), f.Has(FrameOffline):
		return FrameIsHole
	case f.Has(FrameBuddy):
		return FrameIsFree
	case f.Has(FrameSlab):
		return FrameIsSlab
	case f.Has(FramePageTable):
		return FrameIsPageTable
	case f.Has(FrameReserved):
		return FrameIsReserved
	case f.Has(FrameMapped), f.Has(FrameAnonymous):
		return FrameIsMapped
	case f.Has(FrameLRU), f.Has(FrameHuge), f.Has(FrameSwapCache):
		return FrameIsCache
	}
	return FrameIsKernel
}

// FlagsOf fills buf with the flags of the frames from first on, and returns of how many:
// fewer than asked for at the end of memory.
func (f *Frames) FlagsOf(first uint64, buf []FrameFlags) (int, error) {
	n, err := f.entries(f.flags, first, len(buf))
	for i := range n {
		buf[i] = FrameFlags(binary.NativeEndian.Uint64(f.buf[8*i:]))
	}
	return n, err
}

// MappedOf is [Frames.Mapped] for many frames, as [Frames.FlagsOf].
func (f *Frames) MappedOf(first uint64, buf []uint64) (int, error) {
	n, err := f.entries(f.count, first, len(buf))
	for i := range n {
		buf[i] = binary.NativeEndian.Uint64(f.buf[8*i:])
	}
	return n, err
}

// entries reads n entries into f.buf.
func (f *Frames) entries(file *os.File, first uint64, n int) (int, error) {
	if first >= framesMost {
		return 0, nil
	}
	if len(f.buf) < 8*n {
		f.buf = make([]byte, 8*n)
	}
	got, err := file.ReadAt(f.buf[:8*n], int64(first*8))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, process.Classify(err)
	}
	return got / 8, nil
}

// framesMost is above the number of any frame: 52 bits of address, in pages of 4 KiB.
const framesMost = 1 << 40

// Total returns the number of frames, from 0 to the last that the kernel manages, holes
// among them.
func (f *Frames) Total() (uint64, error) {
	var one [1]FrameFlags
	low, high := uint64(0), uint64(framesMost) // frames below low are there, from high on none is
	for low < high {
		middle := low + (high-low)/2
		n, err := f.FlagsOf(middle, one[:])
		if err != nil {
			return 0, err
		}
		if n == 1 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return 0, fmt.Errorf("%s: %w: it is empty", f.flags.Name(), process.ErrMalformed)
	}
	return low, nil
}

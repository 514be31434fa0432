package vma

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Frames answers for page frames: how often each is mapped, and what it is. It needs
// root; a page frame may change its use between two questions. Not for concurrent
// use. Source: Documentation/admin-guide/mm/pagemap.rst.
type Frames struct {
	count, flags *os.File
	buf          []byte
}

// OpenFrames opens kpagecount and kpageflags.
func OpenFrames(proc process.FS) (*Frames, error) {
	count, err := sys.OpenAt(sys.AtFDCWD, proc.Path("kpagecount"), sys.ORdonly)
	if err != nil {
		return nil, process.Classify(err)
	}
	flags, err := sys.OpenAt(sys.AtFDCWD, proc.Path("kpageflags"), sys.ORdonly)
	if err != nil {
		count.Close()
		return nil, process.Classify(err)
	}
	return &Frames{count: count, flags: flags}, nil
}

// Close closes the files.
func (f *Frames) Close() error { return errors.Join(f.count.Close(), f.flags.Close()) }

// Mapped returns how often the frame is mapped, in all address spaces together.
func (f *Frames) Mapped(frame uint64) (uint64, error) { return frameEntry(f.count, frame) }

// Flags returns what the frame is.
func (f *Frames) Flags(frame uint64) (FrameFlags, error) {
	v, err := frameEntry(f.flags, frame)
	return FrameFlags(v), err
}

func frameEntry(file *os.File, frame uint64) (uint64, error) {
	var b [8]byte
	if _, err := file.ReadAt(b[:], int64(frame*8)); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("%s: there is no frame %#x", file.Name(), frame)
		}
		return 0, process.Classify(err)
	}
	return binary.NativeEndian.Uint64(b[:]), nil
}

// FrameFlags are the flags of a page frame, in the numbers of
// include/uapi/linux/kernel-page-flags.h.
type FrameFlags uint64

// The flags that safevma looks at.
const (
	FrameLRU         FrameFlags = 1 << 5
	FrameSlab        FrameFlags = 1 << 7
	FrameBuddy       FrameFlags = 1 << 10
	FrameMapped      FrameFlags = 1 << 11
	FrameAnonymous   FrameFlags = 1 << 12
	FrameSwapCache   FrameFlags = 1 << 13
	FrameHuge        FrameFlags = 1 << 17
	FrameUnevictable FrameFlags = 1 << 18
	FrameHWPoison    FrameFlags = 1 << 19
	FrameNoPage      FrameFlags = 1 << 20
	FrameKSM         FrameFlags = 1 << 21
	FrameTHP         FrameFlags = 1 << 22
	FrameOffline     FrameFlags = 1 << 23
	FrameZeroPage    FrameFlags = 1 << 24
	FramePageTable   FrameFlags = 1 << 26
	// FrameReserved is of the kernel's own numbers (include/linux/kernel-page-flags.h),
	// which may change; it has been the same since Linux 2.6.32.
	FrameReserved FrameFlags = 1 << 32
)

// Has reports whether f holds all of want.
func (f FrameFlags) Has(want FrameFlags) bool { return f&want == want }

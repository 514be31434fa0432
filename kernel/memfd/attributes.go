package memfd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// ErrNoSeals: files of this kind, such as secret memory, have no seals.
var ErrNoSeals = errors.New("files of this kind have no seals")

// ID names a file for as long as it exists.
type ID struct {
	Device
	Inode uint64
}

// String returns "major:minor inode" in decimal.
func (id ID) String() string { return fmt.Sprintf("%v %d", id.Device, id.Inode) }

// Attributes are what one memfd or secret memory file is, at one point in time.
type Attributes struct {
	ID   ID
	Kind Kind
	// Name is what the creator called it, any bytes: the path without "/memfd:" and
	// " (deleted)".
	Name string
	// Size is the length and Allocated the memory behind it, in bytes. Memory that was
	// not written yet is not allocated.
	Size, Allocated int64
	// Mode is st_mode of stat(2).
	Mode uint32
	// UID and GID are the owner, in the user namespace of the reader.
	UID, GID uint32
	// Seals, where SealsErr is nil; else they are unknown, for that reason, or there are
	// none ([ErrNoSeals]).
	Seals    Seals
	SealsErr error
}

const executeBits = 0o111

// Executable reports whether execve(2) would run it for somebody. It can be mapped
// executable whatever this says, if it is not secret memory.
func (a *Attributes) Executable() bool { return a.Mode&executeBits != 0 }

// describe says what the file behind f is, which must be open with O_PATH: that opens
// nothing, so it is safe for whatever a hostile process puts there meanwhile. ok is
// false where it is not one that an inventory lists, and the error is [ErrDoubtful] where
// that is not known. copies are ways to get at the
// file for its seals, tried in this order, before it is opened once more.
func describe(f *os.File, dev *Devices, copies ...func() (*os.File, error)) (a Attributes, ok bool, err error) {
	st, err := sys.Stat(f)
	if err != nil {
		return a, false, err
	}
	id := ID{deviceOf(&st), st.Ino}
	if len(dev.Gaps) == 0 && !dev.On(id.Major, id.Minor) {
		return a, false, nil
	}
	path, err := sys.LinkText(f)
	if err != nil {
		return a, false, err
	}
	if err := dev.doubt(id.Major, id.Minor, path); err != nil {
		return a, false, err
	}
	kind := dev.Classify(id.Major, id.Minor, path)
	if !kind.Inventoried() {
		return a, false, nil
	}
	a = Attributes{ID: id, Kind: kind, Name: fileName(path), Size: st.Size, Allocated: st.Blocks * 512,
		Mode: st.Mode, UID: st.UID, GID: st.GID, SealsErr: ErrNoSeals}
	if kind.IsMemfd() {
		a.Seals, a.SealsErr = readSeals(f, &st, copies)
	}
	return a, true, nil
}

// readSeals asks each copy of the file for its seals until one answers. A copy counts
// if it is of the same inode, however it was come by.
func readSeals(f *os.File, want *sys.FileStat, copies []func() (*os.File, error)) (Seals, error) {
	var refused []error
	for _, open := range append(copies, func() (*os.File, error) { return sys.Reopen(f) }) {
		seals, err := sealsOf(open, want)
		if err == nil {
			return seals, nil
		}
		refused = append(refused, err)
	}
	return 0, errors.Join(refused...)
}

func sealsOf(open func() (*os.File, error), want *sys.FileStat) (Seals, error) {
	f, err := open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := sys.Stat(f)
	if err != nil {
		return 0, err
	}
	if st.Dev != want.Dev || st.Ino != want.Ino {
		return 0, errChanged
	}
	seals, err := sys.Seals(f)
	return Seals(seals), err
}

// errChanged: the descriptor came to mean another file between two readings.
var errChanged = errors.New("the descriptor changed while it was read")

// notThere reports whether a link of a process leads nowhere (any more).
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

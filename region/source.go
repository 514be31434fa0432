package region

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ReadFile returns a region with what a file holds, at most so many bytes. The kernel copies it from
// the file to the region; no copy is on the Go heap. What the kernel keeps of the file (its page
// cache, a disk) stays. Errors are as of [ReadFrom].
func ReadFile(name string, most int, options ...Option) (*Region, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &Error{Op: "read file", Err: err}
	}
	defer f.Close()
	return ReadFrom(f, most, options...)
}

// ReadFrom returns a region with all that is left to read of a file, pipe or other descriptor, at
// most so many bytes. [ErrSize] reports that there is nothing, or more; what was read of it is gone
// then. While it reads there are two regions, of which one is of most bytes, or of the size of a
// file if that is less: both count against the limit for locked memory. A ReadOnly region is filled
// by its own function, which can read a file as well.
func ReadFrom(f *os.File, most int, options ...Option) (*Region, error) {
	if most < 1 || most > maxSize-1 {
		return nil, &Error{Op: "read from", Reason: fmt.Sprintf("at most %d bytes", most), Err: ErrSize}
	}
	room := most
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		room = int(min(int64(most), info.Size()))
	}
	// One byte more shows that there is more.
	return gather("read from", room+1, options, func(r *Region) (int, error) {
		n := 0
		err := r.Write(func(b []byte) (err error) {
			if n, err = readAll(f, b); err != nil {
				err = &Error{Op: "read from", Err: err}
			}
			return err
		})
		if err == nil && n > room {
			err = &Error{Op: "read from", Reason: fmt.Sprintf("more than %d bytes", room), Err: ErrSize}
		}
		return n, err
	})
}

// readAll reads until the end, or b is full.
func readAll(f io.Reader, b []byte) (n int, err error) {
	for empty := 0; n < len(b); {
		got, err := f.Read(b[n:])
		if got < 0 || got > len(b)-n {
			return n, errors.New("region: a reader returned an impossible count")
		}
		n += got
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if empty++; got > 0 {
			empty = 0
		}
		if empty == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// gather makes a region of as many bytes as read puts into one that has room for them.
func gather(op string, room int, options []Option, read func(*Region) (int, error)) (*Region, error) {
	whole, err := Map(room, options...)
	if err != nil {
		return nil, err
	}
	n, err := read(whole)
	if err == nil && n == 0 {
		err = &Error{Op: op, Reason: "nothing to read", Err: ErrSize}
	}
	var exact *Region
	if err == nil {
		exact, err = copyOf(whole, n, options)
	}
	if closed := whole.Close(); err == nil && closed != nil {
		exact.Close()
		return nil, closed
	}
	return exact, err
}

// copyOf copies the first n bytes of a region to one of their own.
func copyOf(whole *Region, n int, options []Option) (*Region, error) {
	exact, err := Map(n, options...)
	if err != nil {
		return nil, err
	}
	err = whole.Read(func(from []byte) error {
		return exact.Write(func(to []byte) error { copy(to, from); return nil })
	})
	if err != nil {
		exact.Close()
		return nil, err
	}
	return exact, nil
}

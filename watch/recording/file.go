package recording

import (
	"errors"
	"io"
	"os"
)

// File is a recording on disk, to be read as often as one likes.
type File struct {
	file *os.File
	size int64
	// Damage is what [File.Each] found last; nil where the file is whole.
	Damage *DamageError
}

// Open opens a recording. What is appended to it later is not seen.
func Open(name string) (*File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &File{file: file, size: info.Size()}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Each calls fn for each entry, from the beginning. That the file is cut off or damaged is
// no error but in Damage: fn has got what is whole. Snapshots are valid until fn returns.
func (f *File) Each(fn func(Entry) error) error {
	f.Damage = nil
	r, err := NewReader(io.NewSectionReader(f.file, 0, f.size))
	if err != nil {
		return f.damage(err)
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return f.damage(err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

func (f *File) damage(err error) error {
	if errors.As(err, &f.Damage) {
		return nil
	}
	return err
}

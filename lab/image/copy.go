package image

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Positions of lseek(2) that package io lacks.
const (
	seekData = 3 // SEEK_DATA
	seekHole = 4 // SEEK_HOLE
)

// Private returns a copy of a file that no name leads to: it is gone when the last
// descriptor of it is closed, however that comes about. dir is where its data lies
// meanwhile.
func Private(path, dir string) (*os.File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return nil, err
	}
	file, err := Unnamed(dir, info.Size())
	if err != nil {
		return nil, err
	}
	if err := copyData(file, source, 0); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Unnamed returns a new file of a size in bytes, all holes, that no name leads to. dir is
// where its data lies.
func Unnamed(dir string, size int64) (*os.File, error) {
	file, err := os.CreateTemp(dir, "unnamed-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(file.Name()), file.Truncate(size)); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// copyData copies the data of source, and not its holes, to target, shifted by offset.
func copyData(target, source *os.File, offset int64) error {
	for position := int64(0); ; {
		data, err := source.Seek(position, seekData)
		if errors.Is(err, syscall.ENXIO) { // no data from here on
			return nil
		}
		if err != nil {
			return err
		}
		hole, err := source.Seek(data, seekHole)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(target, offset+data), io.NewSectionReader(source, data, hole-data)); err != nil {
			return err
		}
		position = hole
	}
}

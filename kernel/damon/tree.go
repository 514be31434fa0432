package damon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// tree is where the files are: the kernel's, or what stands for it in tests. Errors are
// those of the system calls.
type tree interface {
	read(path string) (string, error)
	// write writes all of the text by one system call into a file that is there.
	write(path, text string) error
	list(dir string) ([]string, error)
	stat(path string) error
}

// patiently tries again where a file is busy. The interface has one lock, which nobody waits
// for: while a command of somebody is carried out, which may take an aggregation, or the kernel
// refreshes what it shows, files are busy (EBUSY). lasting says that it is not that.
func (f FS) patiently(do func() error, lasting func() bool) error {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(f.patience); ; time.Sleep(pause) {
		err := do()
		if !errors.Is(err, syscall.EBUSY) || lasting() || time.Now().After(deadline) {
			return err
		}
	}
}

// sysfs is the kernel's tree.
type sysfs struct{}

// fileMost is more than the kernel shows in a file: a page.
const fileMost = 64 << 10

func (sysfs) read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, fileMost+1))
	if err == nil && len(text) > fileMost {
		err = fmt.Errorf("%w: more than %d bytes", ErrMalformed, fileMost)
	}
	return string(text), err
}

func (sysfs) write(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = file.WriteString(text); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func (sysfs) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (sysfs) stat(path string) error {
	_, err := os.Lstat(path)
	return err
}

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

// sysfs is the kernel's tree. The interface has one lock, which nobody waits for: while a
// command of somebody is carried out, or the kernel refreshes what it shows, files can be
// busy (EBUSY). patience is for how long that is taken for such a moment.
type sysfs struct{ patience time.Duration }

// fileMost is more than the kernel shows in a file: a page.
const fileMost = 64 << 10

func (s sysfs) read(path string) (text string, err error) {
	err = s.patiently(func() error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		b, err := io.ReadAll(io.LimitReader(file, fileMost+1))
		if err == nil && len(b) > fileMost {
			err = fmt.Errorf("%w: more than %d bytes", ErrMalformed, fileMost)
		}
		text = string(b)
		return err
	})
	return text, err
}

func (s sysfs) write(path, text string) error {
	return s.patiently(func() error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteString(text)
		if err != nil {
			file.Close()
			return err
		}
		return file.Close()
	})
}

func (s sysfs) patiently(do func() error) error {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(s.patience); ; time.Sleep(pause) {
		if err := do(); !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
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

package feature

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A copy that is killed is told from one that lives, and from one that was never put
// in its place. None is left behind.
func TestHog(t *testing.T) {
	size := os.Getpagesize()
	if end, err := hog(size, func(int) error { return nil }); err != nil || end != (hogEnd{mapped: true}) {
		t.Errorf("left alone: %+v, %v", end, err)
	}
	end, err := hog(size, func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) })
	if err != nil || end != (hogEnd{killed: true}) {
		t.Errorf("killed: %+v, %v", end, err)
	}
	refusal, pid := errors.New("no place"), 0
	if end, err := hog(size, func(p int) error { pid = p; return refusal }); !errors.Is(err, refusal) || end != (hogEnd{}) {
		t.Errorf("not placed: %+v, %v", end, err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the copy that was not placed: %v, want ESRCH", err)
	}
}

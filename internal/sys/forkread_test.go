package sys_test

import (
	"bytes"
	"errors"
	"runtime"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// A child sees ordinary memory, zeroes in what is wiped, and nothing of what it is not given.
func TestForkRead(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for advice, want := range map[int]string{0: "ordinary", sys.MadvWipeonfork: "\x00\x00\x00\x00\x00\x00\x00\x00", sys.MadvDontfork: ""} {
		page, err := sys.Mmap(4096, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Munmap(page)
		copy(page, "ordinary")
		if advice != 0 {
			if err := sys.Madvise(page, advice); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			seen, refused, err := sys.ForkRead(page[:8])
			if err != nil {
				t.Fatal(err)
			}
			if want == "" && !errors.Is(refused, syscall.EFAULT) || want != "" && (refused != nil || !bytes.Equal(seen, []byte(want))) {
				t.Errorf("advice %d: %q, %v; want %q", advice, seen, refused, want)
			}
		}
	}
}

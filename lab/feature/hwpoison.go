package feature

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var hwpoison = Feature{
	Name:       "hwpoison",
	Title:      "a page can be made to fail, as broken memory does (MADV_HWPOISON)",
	Source:     "madvise(2), MADV_HWPOISON; Documentation/mm/hwpoison.rst",
	Risk:       "it takes a page frame from the kernel until the next boot",
	Privileged: true,
	Since:      "6.1",
	probe:      probeHwpoison,
}

// probeHwpoison has the kernel give up an own page. The control is the page beside it,
// which stays as it is.
func probeHwpoison() Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pages, err := ownPages(2)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(pages)
	_ = sys.Madvise(pages, sys.MadvNohugepage) // one frame, and not a huge one
	bad, good := pages[:os.Getpagesize()], pages[os.Getpagesize():]
	write(bad, 1)
	write(good, 7)
	before, err := corruptedMemory()
	if err != nil {
		return absent("/proc/meminfo has no HardwareCorrupted: the kernel is built without memory failure", "")
	}
	var failed error
	call := faulted(func() { failed = sys.Hwpoison(bad) })
	if failed != nil { // EPERM: CAP_SYS_ADMIN
		return absentIf("madvise(MADV_HWPOISON)", failed, "", syscall.EINVAL)
	}
	touch := faulted(func() { read(bad) })
	var kept byte
	if f := faulted(func() { kept = read(good) }); f != nil || kept != 7 {
		return noControl(fmt.Sprintf("reading the page beside it: %d, %v", kept, f), nil)
	}
	after, err := corruptedMemory()
	if err != nil {
		return unknown("HardwareCorrupted", err)
	}
	observed := fmt.Sprintf("in madvise: %v; touching the page: %v; HardwareCorrupted %s, then %s", call, touch, before, after)
	const control = "the page beside it is read as it was"
	if !touch.in(bad) || before == after {
		return absent(observed, control)
	}
	return present(observed, control)
}

func corruptedMemory() (string, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "HardwareCorrupted:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errors.New("no HardwareCorrupted")
}

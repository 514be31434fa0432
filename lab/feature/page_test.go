package feature

import (
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

// A fault is seen, what does not fault is not one, and the process lives on.
func TestFaulted(t *testing.T) {
	page, err := ownPages(1)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(page)
	for range 3 {
		write(page, 1)
		if err := sys.Mprotect(page, sys.ProtNone); err != nil {
			t.Fatal(err)
		}
		if f := faulted(func() { read(page) }); !f.in(page) {
			t.Errorf("reading a page without access: %v", f)
		}
		if f := faulted(func() { write(page[len(page)-1:], 2) }); !f.in(page[len(page)-1:]) || f.in(page[:len(page)-1]) {
			t.Errorf("writing the last byte of a page without access: %v", f)
		}
		if err := sys.Mprotect(page, readWrite); err != nil {
			t.Fatal(err)
		}
		if f := faulted(func() { write(page, 3) }); f != nil || f.in(page) || read(page) != 3 {
			t.Errorf("an ordinary page: %v", f)
		}
	}
	var none []byte
	if f := faulted(func() { read(none) }); f == nil || f.in(page) {
		t.Errorf("another panic: %v", f)
	}
}

func TestFlagsOf(t *testing.T) {
	page, err := ownPages(1)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(page)
	for prot, want := range map[int]vma.Flags{sys.ProtNone: 0, sys.ProtRead: vma.FlagRead, readWrite: vma.FlagRead | vma.FlagWrite} {
		if err := sys.Mprotect(page, prot); err != nil {
			t.Fatal(err)
		}
		if flags, err := flagsOf(page); err != nil || flags&(vma.FlagRead|vma.FlagWrite) != want {
			t.Errorf("prot %#x: %v, %v", prot, flags, err)
		}
	}
}

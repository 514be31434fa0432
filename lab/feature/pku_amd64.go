package feature

import (
	"fmt"
	"runtime"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// probePKU takes a key, gives a page to it, and has the processor refuse writes. The
// controls are a write before and after, and a read in between. The thread's rights
// are in the end as they were given with the key: no access.
func probePKU() Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	key, err := sys.PkeyAlloc(sys.PkeyDisableAccess)
	if err != nil { // EINVAL is what Linux says without the processor's help, pkey_alloc(2) has ENOSPC
		return absentIf("pkey_alloc", err, "", syscall.EINVAL, syscall.ENOSPC, syscall.ENOSYS)
	}
	defer sys.PkeyFree(key)
	page, err := ownPages(1)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(page)
	if err := sys.PkeyMprotect(page, readWrite, key); err != nil {
		return unknown("pkey_mprotect", err)
	}
	given := sys.ReadPKRU()
	defer sys.WritePKRU(given)
	open := given &^ (3 << (2 * key))
	return tryPKRU(page, given, open, open|sys.PkeyDisableWrite<<(2*key))
}

func tryPKRU(page []byte, given, open, writeDisabled uint32) Result {
	sys.WritePKRU(open)
	if f := faulted(func() { write(page, 1) }); f != nil {
		return noControl("write with the key open: "+f.String(), nil)
	}
	sys.WritePKRU(writeDisabled)
	reading := faulted(func() { read(page) })
	writing := faulted(func() { write(page, 2) })
	// The panic must not have carried the rights of the handler back with it.
	after := sys.ReadPKRU()
	sys.WritePKRU(open)
	again := faulted(func() { write(page, 3) })
	sys.WritePKRU(given)
	if reading != nil || again != nil {
		return noControl(fmt.Sprintf("read with write-disable: %v; write with the key open again: %v", reading, again), nil)
	}
	if after != writeDisabled {
		return noControl(fmt.Sprintf("PKRU %#x was %#x after the fault", writeDisabled, after), nil)
	}
	const control = "write with the key open, before and after: ok; read with write-disable: ok"
	observed := "write with write-disable: " + writing.String()
	if !writing.in(page) {
		return absent(observed, control)
	}
	return present(observed+", in the page", control)
}

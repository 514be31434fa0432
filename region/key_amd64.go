package region

import (
	"runtime"

	"github.com/safevma/safevma/internal/sys"
)

// protectionKey is a key of the processor for the pages of one region (pkeys(7)). What it allows
// is a matter of each thread: nothing, until a window opens it for the thread that asked. There
// are 15 at most.
type protectionKey int

// noKey: the region has none.
const noKey protectionKey = 0

// newKey takes a key, which allows nothing to any thread: the kernel starts each thread with
// all keys but 0 closed, and every window closes what it opened.
func newKey() (protectionKey, error) {
	key, err := sys.PkeyAlloc(sys.PkeyDisableAccess)
	if err != nil {
		return noKey, err
	}
	return protectionKey(key), nil
}

// free gives the key back. Nothing is mapped with it any more.
func (k protectionKey) free() {
	if k != noKey {
		_ = sys.PkeyFree(int(k))
	}
}

// open locks the goroutine to its thread, and lets that thread in. The lock comes first: a
// thread that the runtime starts meanwhile must not inherit the rights, and from a locked one
// it starts none.
func (k protectionKey) open(write bool) {
	runtime.LockOSThread()
	rights := sys.ReadPKRU() &^ (3 << (2 * uint(k)))
	if !write {
		rights |= sys.PkeyDisableWrite << (2 * uint(k))
	}
	sys.WritePKRU(rights)
}

// close undoes open, on the same goroutine.
func (k protectionKey) close() {
	sys.WritePKRU(sys.ReadPKRU() | sys.PkeyDisableAccess<<(2*uint(k)))
	runtime.UnlockOSThread()
}

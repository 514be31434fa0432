package memsearch

import (
	"crypto/rand"
	"runtime"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// What is there is found, wherever it is, and nothing else.
func TestFind(t *testing.T) {
	heap := make([]byte, 3<<20) // longer than the searcher's buffer
	b, err := sys.Mmap(4<<20, sys.ProtRead|sys.ProtWrite, sys.MapShared|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	for _, at := range []int{0, 1<<20 - 7, 2<<20 + 1, len(heap) - 32} {
		clear(heap)
		clear(b)
		rand.Read(b[at : at+32])
		needle := Of(b[at : at+32])
		copy(heap[at:], b[at:at+32])
		hits, err := needle.Find()
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) != 2 || hits[0].In(heap) == hits[1].In(heap) || hits[0].In(b) == hits[1].In(b) {
			t.Fatalf("at %d: %v", at, hits)
		}
		clear(heap)
		clear(b)
		if hits, _ = needle.Find(); len(hits) != 0 {
			t.Fatalf("at %d, and gone: %v", at, hits)
		}
	}
	runtime.KeepAlive(heap)
}

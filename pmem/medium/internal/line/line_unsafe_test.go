package line

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/safevma/safevma/internal/sys"
)

// buffer returns n bytes that start a line.
func buffer(n int) []byte {
	b := make([]byte, n+Size)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (Size - 1))
	return b[skip : skip+n]
}

func pointer(b []byte, off int) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), off)
}

func skipUnusable(t testing.TB) {
	if ok, why := Usable(); !ok {
		t.Skip(why)
	}
}

// ways runs fn for each instruction that this CPU can write lines back with.
func ways(t *testing.T, fn func(t *testing.T)) {
	skipUnusable(t)
	for _, w := range variants() {
		t.Run(w.name, func(t *testing.T) {
			defer w.choose()()
			fn(t)
		})
	}
}

// Each copy puts what it should where it should, and nothing beside it.
func TestCopies(t *testing.T) {
	copies := []struct {
		name string
		step int
		fn   func(dst, src unsafe.Pointer, n uintptr)
	}{
		{"Copy", 1, Copy}, {"Stream", 8, Stream}, {"StreamFence", 8, StreamFence},
	}
	const room = 384
	source := buffer(room)
	for i := range source {
		source[i] = byte(i*7 + 1)
	}
	for _, c := range copies {
		t.Run(c.name, func(t *testing.T) {
			ways(t, func(t *testing.T) {
				for off := 0; off < 72; off += c.step {
					for n := 0; n+off <= 300; n += c.step {
						for from := range 3 {
							dst, want := buffer(room), make([]byte, room)
							copy(want[off:], source[from:from+n])
							c.fn(pointer(dst, off), pointer(source, from), uintptr(n))
							Fence()
							if !bytes.Equal(dst, want) {
								t.Fatalf("%d bytes from %d to %d:\n%v\nwant\n%v", n, from, off, dst, want)
							}
						}
					}
				}
			})
		})
	}
}

func TestStores(t *testing.T) {
	ways(t, func(t *testing.T) {
		b := buffer(192)
		StoreFlushFence(pointer(b, 64), 0x0807060504030201)
		Store(pointer(b, 72), 0x0807060504030201)
		Flush(pointer(b, 0), 192)
		Flush(pointer(b, 100), 0)
		FlushFence(pointer(b, 63), 2)
		FlushFence(pointer(b, 0), 0)
		Prefetch(pointer(b, 1), 191)
		Prefetch(nil, 0)
		want := make([]byte, 192)
		for i := range 8 {
			want[64+i], want[72+i] = byte(i+1), byte(i+1)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%v, want %v", b, want)
		}
	})
}

// A reader that goes through the words from the last to the first sees newer and newer ones,
// since a copy stores the first one first. The control copies in the other order, and the same
// reader has to see it.
func TestCopyAscends(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("it takes two CPUs to see the order of stores")
	}
	if seen := older(t, Copy, 20_000); seen != "" {
		t.Errorf("out of order: %s", seen)
	}
	backwards := func(dst, src unsafe.Pointer, n uintptr) {
		for i := int(n) - 8; i >= 0; i -= 8 {
			Store(unsafe.Add(dst, i), *(*uint64)(unsafe.Add(src, i)))
		}
	}
	if seen := older(t, backwards, 2_000_000); seen == "" {
		t.Skip("the control was not seen: the machine gave the two goroutines no time together")
	}
}

// older copies blocks of ever higher numbers, and returns the first block in which a reader saw
// an older word after a newer one.
func older(t *testing.T, copies func(dst, src unsafe.Pointer, n uintptr), rounds int) string {
	t.Helper()
	const words = 32
	memory, err := sys.Mmap(words*8, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0) // no race to be reported there
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(memory)
	block, src := unsafe.Slice((*uint64)(pointer(memory, 0)), words), make([]uint64, words)
	var seen atomic.Pointer[string]
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			last := uint64(0)
			for i := words - 1; i >= 0; i-- {
				v := atomic.LoadUint64(&block[i])
				if v < last {
					s := fmt.Sprintf("word %d is of copy %d, a later one of copy %d", i, v, last)
					seen.CompareAndSwap(nil, &s)
				}
				last = v
			}
		}
	}()
	for round := 1; round <= rounds && seen.Load() == nil; round++ {
		for i := range src {
			src[i] = uint64(round)
		}
		copies(unsafe.Pointer(&block[0]), unsafe.Pointer(&src[0]), words*8)
	}
	close(stop)
	<-done
	if s := seen.Load(); s != nil {
		return *s
	}
	return ""
}

package region

import (
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// A Secret region of one page, touched, next to the bare system calls for that.
func BenchmarkSecretPage(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			page, err := sys.MapSecret(nil, pageSize)
			if err != nil {
				b.Skip(err)
			}
			page[0] = 1
			if err := sys.Munmap(page); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, options := range map[string][]Option{"region": {Secret(), Resident()}, "guarded": {Secret(), Resident(), Guarded()}, "recycled": {Secret(), Resident(), Sealed()}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := Map(pageSize, options...)
				if err != nil {
					b.Skip(err)
				}
				r.Bytes()[0] = 1
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Opening and closing a window, next to the bare pair of mprotect calls.
func BenchmarkWindow(b *testing.B) {
	r, err := Map(100, Windowed(), Resident())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if sys.Mprotect(r.pages, readWrite) != nil || sys.Mprotect(r.pages, sys.ProtNone) != nil {
				b.Fatal("mprotect")
			}
		}
	})
	set := func(p []byte) error { p[0]++; return nil }
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Write(set); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if sys.Mprotect(r.pages, readWrite) != nil {
				b.Fatal("mprotect")
			}
			_ = set(r.data)
			if sys.Mprotect(r.pages, sys.ProtNone) != nil {
				b.Fatal("mprotect")
			}
		}
	})
}

// Reading an open region, next to a slice of the Go heap.
func BenchmarkReadAccess(b *testing.B) {
	const size = 1 << 16
	r, err := Map(size, Resident(), Guarded())
	if err != nil {
		b.Skip(err)
	}
	defer r.Close()
	for name, p := range map[string][]byte{"slice": make([]byte, size), "region": r.Bytes()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			sum := byte(0)
			for b.Loop() {
				for _, c := range p {
					sum += c
				}
			}
			if sum != 0 {
				b.Fatal(sum)
			}
		})
	}
	b.Run("read, one byte", func(b *testing.B) {
		b.ReportAllocs()
		sum := byte(0)
		for b.Loop() {
			if err := r.Read(func(p []byte) error { sum += p[0]; return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMap(b *testing.B) {
	for name, options := range map[string][]Option{"plain": nil, "resident": {Resident()}, "resident guarded": {Resident(), Guarded(), NoDump()}, "sealed": {Resident(), Sealed()}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := Map(32, options...)
				if err != nil {
					b.Skip(err)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	r, err := Map(32, Resident(), Guarded(), NoDump(), NoFork())
	if err != nil {
		b.Skip(err)
	}
	defer r.Close()
	for b.Loop() {
		if _, err := r.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

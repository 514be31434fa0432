package pool

import "testing"

func BenchmarkAllocFree(b *testing.B) {
	p := newPool(b, Options{Size: 64 << 10})
	b.ReportAllocs()
	for b.Loop() {
		s, err := p.Alloc(32)
		if err == nil {
			err = s.Free()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	p := newPool(b, Options{})
	s := alloc(b, p, 32)
	b.ReportAllocs()
	for b.Loop() {
		sum := 0
		if err := s.Read(func(b []byte) error { sum += int(b[0]); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := newPool(b, Options{Size: 64 << 10})
	for range 1500 {
		alloc(b, p, 32)
	}
	for b.Loop() {
		if err := p.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenSealed(b *testing.B) {
	p := newPool(b, Options{})
	sealed, err := p.Seal(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := sealed.Open(nil)
		if err == nil {
			err = s.Free()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

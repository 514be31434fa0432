package history

import "testing"

// BenchmarkRecord records transactions of three reads and one write.
func BenchmarkRecord(b *testing.B) {
	var rec Recorder
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		s := rec.Session()
		for p.Next() {
			s.Begin()
			s.Attempt()
			for key := range uint64(3) {
				s.Read(key, 5)
			}
			s.Write(1, s.Value())
			s.End(Committed)
		}
	})
}

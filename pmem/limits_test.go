package pmem

import "testing"

// TestSizes holds the limits of a pool against what the format can say: the offset of a run has 40
// bits, in words, and opening takes memory for each zone.
func TestSizes(t *testing.T) {
	const tib = 1 << 40
	for _, tt := range []struct {
		size, log, extent, span int64
		ok                      bool
	}{
		{8 * tib, 1 << 20, 1 << 16, mostSpan, true},
		{8*tib + 8, 1 << 20, 1 << 16, mostSpan, false},
		{64 << 30, 1 << 20, 1 << 16, leastSpan, true},
		{64<<30 + 4096, 1 << 20, 1 << 16, leastSpan, false},
		{1 * tib, 4 << 30, 1 << 28, mostSpan, true},
		{1 * tib, 8 << 30, 1 << 28, mostSpan, false},
		{1 << 20, 1 << 16, 64, mostSpan, false},
		{1 << 20, 1 << 16, 1 << 16, mostSpan, false},
		{1 << 20, 1 << 16, 1 << 12, mostSpan + 1, false},
		{-8, 1 << 16, 1 << 12, mostSpan, false},
		{1 << 20, -1 << 16, 1 << 12, mostSpan, false},
		{1 << 20, 1 << 16, -1 << 12, mostSpan, false},
	} {
		if err := validateSizes(tt.size, tt.log, tt.extent, tt.span); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	last := int64(mostSize - word)
	r, _, err := nextRun(le.AppendUint64(le.AppendUint64(nil, runHeader(runSet, last, word)), 1))
	if err != nil || r.off != last || r.kind != runSet {
		t.Errorf("a run at %d: %+v, %v", last, r, err)
	}
}

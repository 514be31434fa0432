package damo

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/safevma/safevma/watch/recording"
)

// BenchmarkImport reads text as long as 100 snapshots of 1,500 regions are.
func BenchmarkImport(b *testing.B) {
	var text bytes.Buffer
	for s := range 100 {
		for r := range 1500 {
			fmt.Fprintf(&text, "kdamond.0  4452 [%03d] %d.%06d: damon:damon_aggregated: target_id=0 nr_regions=1500 %d-%d: %d %d\n",
				s%2, 9000+s, r, 4294967296+r<<22, 4294967296+(r+1)<<22, r*s%21, r%30)
		}
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		w, err := recording.NewWriter(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Import(bytes.NewReader(text.Bytes()), "test", w); err != nil {
			b.Fatal(err)
		}
	}
}

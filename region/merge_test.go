package region_test

import (
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// In a process all of whose memory is mergeable (PR_SET_MEMORY_MERGE), NoMerge takes the region
// out.
func TestNoMergeInMergingProcess(t *testing.T) {
	if _, err := sys.Prctl(sys.PrSetMemoryMerge, 1); err != nil {
		t.Skip("merging can't be switched on: ", err)
	}
	defer func() {
		if _, err := sys.Prctl(sys.PrSetMemoryMerge, 0); err != nil {
			t.Error(err)
		}
	}()
	holds(t, mapped(t, 100, region.NoMerge(), region.Guarded()))
}

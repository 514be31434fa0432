package guard

import "testing"

// TestRanges: sets of nodes are written as the kernel writes them.
func TestRanges(t *testing.T) {
	for want, nodes := range map[string][]int{"0": {0}, "0-2,5": {5, 2, 0, 1, 1}, "1,3": {3, 1}, "": nil} {
		if got := ranges(nodes); got != want {
			t.Errorf("%v: %q, want %q", nodes, got, want)
		}
	}
}

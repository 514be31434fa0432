package pool_test

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/pool"
)

// TestZeroValues: what no pool made is refused, and does not end the program.
func TestZeroValues(t *testing.T) {
	var o pool.Owner
	if _, err := o.Alloc(8); !errors.Is(err, region.ErrClosed) {
		t.Errorf("an owner: %v", err)
	}
	if n, err := o.FreeAll(); n != 0 || err != nil {
		t.Errorf("an owner: %d, %v", n, err)
	}
	var s pool.Sealed
	if _, err := s.Open(nil); !errors.Is(err, region.ErrClosed) || s.Len() != 0 {
		t.Errorf("what was sealed: %v, %d bytes", err, s.Len())
	}
	var secret pool.Secret
	if _, err := secret.Bytes(); !errors.Is(err, pool.ErrFreed) {
		t.Errorf("a secret: %v", err)
	}
}

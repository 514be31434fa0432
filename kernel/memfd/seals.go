package memfd

import (
	"fmt"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

// Seals is the set of seals of a memfd, as F_GET_SEALS returns them (fcntl(2)).
type Seals uint32

// The seals.
const (
	SealSeal        Seals = sys.SealSeal        // no further seals
	SealShrink      Seals = sys.SealShrink      // the size can't shrink
	SealGrow        Seals = sys.SealGrow        // the size can't grow
	SealWrite       Seals = sys.SealWrite       // the content can't change
	SealFutureWrite Seals = sys.SealFutureWrite // no new writable mapping, no write(2)
	SealExec        Seals = sys.SealExec        // the execute bits of the mode can't change
)

var sealNames = [...]string{"seal", "shrink", "grow", "write", "future_write", "exec"}

// Has reports whether s holds all of want.
func (s Seals) Has(want Seals) bool { return s&want == want }

// String returns the names in the order of the bits, such as "shrink grow exec", or
// "none". A bit that this version does not know is shown as a number.
func (s Seals) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for i, name := range sealNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := s >> len(sealNames) << len(sealNames); rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(rest)))
	}
	return strings.Join(names, " ")
}

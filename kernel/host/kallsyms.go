package host

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// errFound ends a reading that has what it wants.
var errFound = errors.New("found")

// parseTextAddress returns the address of _text from /proc/kallsyms ("ffffffff81000000
// T _text"). Where addresses are hidden they are zero (kernel.kptr_restrict,
// kernel.perf_event_paranoid): the error is [ErrDenied].
func parseTextAddress(r io.Reader) (uint64, string, error) {
	var address uint64
	var raw string
	err := eachLine(r, func(line string) error {
		hex, rest, ok := strings.Cut(line, " ")
		if !ok || len(rest) < 3 || rest[1] != ' ' {
			return malformed("%s is not an address, a type and a symbol", quote(line))
		}
		if rest[2:] != "_text" {
			return nil
		}
		var err error
		if address, err = parseHex(hex); err != nil {
			return err
		}
		raw = line
		return errFound
	})
	switch {
	case err == nil:
		return 0, "", fmt.Errorf("%w: no symbol _text", ErrAbsent)
	case !errors.Is(err, errFound):
		return 0, "", err
	case address == 0:
		return 0, raw, fmt.Errorf("%w: addresses are shown as zero", ErrDenied)
	}
	return address, raw, nil
}

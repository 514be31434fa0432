package tracefs

import (
	"fmt"
	"strconv"
	"strings"
)

// Stats are the kernel's counters of the buffer of one CPU (per_cpu/cpuN/stats).
type Stats struct {
	CPU     int
	Entries uint64 // not read yet
	Read    uint64
	// Overrun counts events that were overwritten before anybody read them, CommitOverrun
	// and Dropped those that found no place.
	Overrun, CommitOverrun, Dropped uint64
}

// Lost is how many events nobody will read.
func (s *Stats) Lost() uint64 { return s.Overrun + s.CommitOverrun + s.Dropped }

// ParseStats parses per_cpu/cpuN/stats. Counters that are not there are 0: older kernels
// have not all; but entries and overrun must be.
func ParseStats(text string) (Stats, error) {
	var s Stats
	seen := 0
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		var to *uint64
		switch key {
		case "entries":
			to = &s.Entries
		case "overrun":
			to = &s.Overrun
		case "commit overrun":
			to = &s.CommitOverrun
		case "dropped events":
			to = &s.Dropped
		case "read events":
			to = &s.Read
		default:
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if !ok || err != nil {
			return s, fmt.Errorf("%w: statistics %q", ErrMalformed, line)
		}
		if *to = n; key == "entries" || key == "overrun" {
			seen++
		}
	}
	if seen < 2 {
		return s, fmt.Errorf("%w: statistics without entries or overrun", ErrMalformed)
	}
	return s, nil
}

package offender

import (
	"fmt"
	"strconv"
)

// Report is what an offender says about itself when it is ready.
type Report struct {
	Offender string `json:"offender"`
	// PID is the process in question; PIDs are all that take part, the one that was
	// started first.
	PID  int   `json:"pid"`
	PIDs []int `json:"pids"`
	// Requirement and RuleHint say what it breaks ([Spec]); empty for a twin and a
	// fixture.
	Requirement string `json:"requirement,omitempty"`
	RuleHint    string `json:"rule_hint,omitempty"`
	// Start and End are the mapping in question, in process PID; both 0 where there
	// is none.
	Start Addr `json:"start,omitempty"`
	End   Addr `json:"end,omitempty"`
	// Ranges are further mappings, in any of PIDs.
	Ranges []Range `json:"ranges,omitempty"`
	// FD is the descriptor in question, where there is one.
	FD   int    `json:"fd,omitempty"`
	Note string `json:"note,omitempty"`
}

// Range is one mapping of one process.
type Range struct {
	PID   int    `json:"pid"`
	Start Addr   `json:"start"`
	End   Addr   `json:"end"`
	What  string `json:"what,omitempty"`
	// NameHex are the exact bytes of the path of the mapped file, in hexadecimal.
	NameHex string `json:"name_hex,omitempty"`
}

// Addr is an address. Its text is as in /proc/PID/maps: at least eight hexadecimal
// digits, no prefix.
type Addr uint64

func (a Addr) String() string { return fmt.Sprintf("%08x", uint64(a)) }

// MarshalText implements [encoding.TextMarshaler].
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Addr) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	*a = Addr(n)
	return nil
}

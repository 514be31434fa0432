// Package state keeps, event by event, what a failure may leave of a medium.
//
// A [State] takes the events of a trace: stores, flushes, fences, syncs. At any moment
// it says which images are legal as a product: a durable base, and [Cell]s that a failure
// decides independently of each other, each with its versions. Nothing here runs code of
// a user; package crash does.
//
// The persistency model of x86 follows Raad, Wickerson, Neis and Vafeiadis, "Persistency
// Semantics of the Intel-x86 Architecture" (POPL 2020), in its synchronous form (Khyzha
// and Lahav, POPL 2021): first-in first-out for each line, lines independent of each other.
package state

import (
	"errors"
	"fmt"
)

// Domain is what survives a failure without being made durable.
type Domain uint8

const (
	// Kill ends the process alone: what was stored is there, in program order.
	Kill Domain = iota
	// ADR keeps what has left the caches: a store needs a flush and a fence.
	ADR
	// EADR keeps the caches too: only non-temporal stores need a fence.
	EADR
	// PageCache is an ordinary file: a store needs a sync.
	PageCache
)

var domains = [...]string{Kill: "kill", ADR: "adr", EADR: "eadr", PageCache: "pagecache"}

func (d Domain) String() string {
	if int(d) < len(domains) {
		return domains[d]
	}
	return fmt.Sprintf("domain(%d)", uint8(d))
}

// MarshalText writes the name.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the name.
func (d *Domain) UnmarshalText(text []byte) error {
	for i, name := range domains {
		if name == string(text) {
			*d = Domain(i)
			return nil
		}
	}
	return fmt.Errorf("unknown domain %q: kill, adr, eadr or pagecache", text)
}

// Model says which states are legal.
type Model struct {
	Domain Domain `json:"domain"`
	// Unit is what keeps its stores in order, in bytes: 64 for a cache line, 512 for a
	// sector, 4096 for a page. A power of two, 8 at least.
	Unit int `json:"unit"`
	// Torn allows any subset of the 8-byte words of a unit of the page cache: pages may be
	// written back while they change.
	Torn bool `json:"torn,omitempty"`
}

// Word is what a failure never tears, in bytes, when it is aligned.
const Word = 8

// ErrModel reports a model that makes no sense.
var ErrModel = errors.New("no such persistency model")

// Validate reports a model that makes no sense.
func (m Model) Validate() error {
	switch {
	case int(m.Domain) >= len(domains):
		return fmt.Errorf("%w: %v", ErrModel, m.Domain)
	case m.Unit < Word || m.Unit > 1<<16 || m.Unit&(m.Unit-1) != 0:
		return fmt.Errorf("%w: a unit of %d bytes: use a power of two from 8 to 65536", ErrModel, m.Unit)
	case m.Torn && m.Domain != PageCache:
		return fmt.Errorf("%w: torn units on %v: only the page cache has them", ErrModel, m.Domain)
	}
	return nil
}

func (m Model) String() string {
	s := m.Domain.String()
	if m.Domain == PageCache {
		s = fmt.Sprintf("%s/%d", s, m.Unit)
	}
	if m.Torn {
		s += "/torn"
	}
	return s
}

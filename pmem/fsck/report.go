package fsck

import (
	"encoding/json"
	"fmt"
	"io"
)

// Schema is the name of the JSON form of a [Report]. Within one version fields may be added.
const Schema = "safevma.fsck/v1"

// Kind says what sort of problem one is.
type Kind string

// Kinds of problems.
const (
	Superblock  Kind = "superblock"  // a copy is not valid, or they contradict each other
	Tail        Kind = "tail"        // a slot that says how far the log is applied
	Log         Kind = "log"         // the pool can't be opened
	Descriptor  Kind = "descriptor"  // of a span
	Bitmap      Kind = "bitmap"      // and header of a slot say different things
	Header      Kind = "header"      // of an object, or of a free slot
	Block       Kind = "block"       // 256 bytes of an object are not what was written
	Size        Kind = "size"        // an object does not fit where it is
	Type        Kind = "type"        // an object's type is unknown, or says another size
	Types       Kind = "types"       // the table of types, or a descriptor of a type
	Root        Kind = "root"        // the table of roots
	Run         Kind = "run"         // spans of a big object
	Incarnation Kind = "incarnation" // lower than it can be
	Reserved    Kind = "reserved"    // bytes that are 0 in this version
	Leak        Kind = "leak"        // no root reaches it
	Dangling    Kind = "dangling"    // a reference is to nothing, or to another type
	Unreadable  Kind = "unreadable"  // the medium can't be read there
)

// Severity says how bad a problem is.
type Severity string

// Severities of problems.
const (
	// Warning: nothing is lost, and opening the pool mends it, or could live with it.
	Warning Severity = "warning"
	// Error: data is lost, or what the pool promises does not hold.
	Error Severity = "error"
)

// Problem is something that is wrong with a pool.
type Problem struct {
	Severity Severity `json:"severity"`
	Kind     Kind     `json:"kind"`
	Offset   int64    `json:"offset"`           // where in the pool, in bytes
	Span     *int64   `json:"span,omitempty"`   // number of the span
	Object   string   `json:"object,omitempty"` // offset and incarnation: "4096.2"
	What     string   `json:"what"`             // is wrong, in words
	Do       string   `json:"do"`               // what can be done
}

// String is one line: kind, place, and what is wrong.
func (p Problem) String() string { return fmt.Sprintf("%s at offset %d: %s", p.Kind, p.Offset, p.What) }

// LogState is what the log holds.
type LogState struct {
	Records int   `json:"records"` // that opening the pool replays
	Bytes   int64 `json:"bytes"`
	Torn    bool  `json:"torn"` // it ends in a record that is not whole, and that nobody was told of
}

// Counts is what was seen.
type Counts struct {
	Spans   int64 `json:"spans"` // that have a class
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"` // of objects
	Free    int64 `json:"free"`  // slots
	Retired int64 `json:"retired"`
	Types   int   `json:"types"`
	Roots   int   `json:"roots"`
}

// Report is what a check found.
type Report struct {
	Schema   string    `json:"schema"`
	ID       string    `json:"id,omitempty"` // of the pool
	Size     int64     `json:"size,omitempty"`
	Sequence uint64    `json:"sequence,omitempty"` // of the last transaction
	Log      LogState  `json:"log"`
	Counts   Counts    `json:"counts"`
	Complete bool      `json:"complete"` // all was looked at
	Unjudged int64     `json:"unjudged"` // objects that only what can't be read may refer to
	Problems []Problem `json:"problems"`
	Omitted  int64     `json:"omitted"` // problems beyond the first of their kind
}

// mostOfKind is how many problems of a kind a report has.
const mostOfKind = 256

// Clean reports whether there is no problem.
func (r *Report) Clean() bool { return len(r.Problems) == 0 }

// Err returns the problems as one error, or nil.
func (r *Report) Err() error {
	if r.Clean() {
		return nil
	}
	return &UncleanError{r}
}

// UncleanError is a report that is not clean.
type UncleanError struct{ Report *Report }

func (e *UncleanError) Error() string {
	s := fmt.Sprintf("the pool has %d problems", int64(len(e.Report.Problems))+e.Report.Omitted)
	for i, p := range e.Report.Problems {
		if i == 8 {
			return s + "; ..."
		}
		s += "; " + p.String()
	}
	return s
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

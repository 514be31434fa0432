// Package history records what concurrent transactions did, and checks that it is
// strictly serialisable: that the same reads and writes could have been done by one
// transaction after another, in an order that keeps real time (a transaction that ended
// before another began comes before it).
//
// It works as Adya's dependency graphs do (Generalized Isolation Level Definitions, ICDE
// 2000) and as Elle checks databases (Kingsbury, Alvaro, VLDB 2020). Each write writes a
// value that no other one writes, so a read names the write that it saw. What overwrote
// what is known in one of two ways, one for each key:
//
//   - a register is read by each transaction that writes it, before its first write;
//   - a list is appended to, and a read returns all of it.
//
// The transactions are nodes. "A must come before B" is an edge: B overwrote what A wrote
// (ww), B read what A wrote (wr), B overwrote what A read (rw), or A ended before B began
// (real time). A history that passes has an order: the graph has no cycle. One that fails
// has a cycle, or a read that no order explains, and the report tells it in words. For
// histories as above both directions hold: nothing that is serialisable fails, and nothing
// else passes. A test compares this with trying all orders.
package history

// Kind says what an operation does.
type Kind uint8

// A key is either a register, for Read and Write, or a list, for ReadList and Append.
const (
	Read Kind = iota
	Write
	ReadList
	Append
)

// Op is one operation of a transaction.
type Op struct {
	Kind  Kind
	Key   uint64
	Value uint64   // of Read, Write and Append; 0 is what a register holds before the first write
	List  []uint64 // of ReadList
}

// Outcome says how a transaction ended.
type Outcome uint8

// What the caller knows at the end. A transaction of unknown outcome counts as committed if
// a transaction that counts read what it wrote, and as one that never was if none did.
const (
	Committed Outcome = iota
	Aborted
	Unknown
)

func (o Outcome) String() string {
	return [...]string{"committed", "aborted", "outcome unknown"}[min(o, Unknown)]
}

// Transaction is one run of a transaction's function: one that is run again after a
// conflict is an aborted transaction and another one.
type Transaction struct {
	Session    int   // the goroutine
	Begin, End int64 // moments of one clock: Begin before the store was called, End after it returned
	Outcome    Outcome
	Ops        []Op
}

// History holds transactions. A report calls the one at index i Ti.
type History []Transaction

package history

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Recorder records a history. Its clock is one counter for all goroutines; everything
// else each goroutine keeps in a Session of its own.
type Recorder struct {
	clock atomic.Int64

	mu       sync.Mutex
	sessions []*Session // protected by mu
}

// Session returns a session for one goroutine. It may be called from any goroutine.
func (r *Recorder) Session() *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Session{recorder: r, number: len(r.sessions)}
	r.sessions = append(r.sessions, s)
	return s
}

// History returns all transactions that ended, by the moment at which they began, and as
// of unknown outcome those that did not. It must not run beside its sessions. The lists
// are those of the recorder.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	var h History
	for _, s := range r.sessions {
		for _, piece := range s.full {
			h = append(h, piece...)
		}
		h = append(h, s.done...)
		if s.open {
			h = append(h, s.transaction(Unknown))
		}
	}
	slices.SortStableFunc(h, func(a, b Transaction) int { return int(a.Begin - b.Begin) })
	return h
}

// Session records the transactions of one goroutine, one after the other:
//
//	s.Begin()
//	err := store.Update(func(tx Tx) error {
//		s.Attempt()
//		v := tx.Get(key)
//		s.Read(key, v)
//		...
//	})
//	s.End(outcome of err)
type Session struct {
	recorder *Recorder
	number   int
	values   uint64
	begin    int64
	open     bool // between Begin and End
	tried    bool // Attempt was called since Begin
	ops      []Op // of the attempt
	// What is done is kept in pieces: nothing is copied as it grows.
	done  []Transaction
	full  [][]Transaction
	spare []Op     // room for more
	lists []uint64 // with room for more
}

// Begin stands before the call of the store.
func (s *Session) Begin() {
	s.open, s.tried, s.ops = true, false, s.ops[:0]
	s.begin = s.recorder.clock.Add(1)
}

// Attempt stands first in the transaction's function. If the store runs the function
// again, what it did before is recorded as aborted.
func (s *Session) Attempt() {
	if s.tried {
		s.keep(Aborted)
	}
	s.tried, s.ops = true, s.ops[:0]
}

// Read records that key, a register, had this value.
func (s *Session) Read(key, value uint64) {
	s.ops = append(s.ops, Op{Kind: Read, Key: key, Value: value})
}

// Write records a write of a register.
func (s *Session) Write(key, value uint64) {
	s.ops = append(s.ops, Op{Kind: Write, Key: key, Value: value})
}

// ReadList records that key, a list, had these values. It copies them.
func (s *Session) ReadList(key uint64, list []uint64) {
	from := len(s.lists)
	if cap(s.lists)-from < len(list) {
		s.lists, from = make([]uint64, 0, max(pieces, len(list))), 0
	}
	s.lists = append(s.lists, list...)
	s.ops = append(s.ops, Op{Kind: ReadList, Key: key, List: s.lists[from:len(s.lists):len(s.lists)]})
}

// Append records that value was appended to a list.
func (s *Session) Append(key, value uint64) {
	s.ops = append(s.ops, Op{Kind: Append, Key: key, Value: value})
}

// Value returns a value that no session of the recorder returned before. Each write
// takes a new one, also when a transaction runs again.
func (s *Session) Value() uint64 {
	s.values++
	return uint64(s.number+1)<<sessionShift | s.values
}

// End stands after the call of the store.
func (s *Session) End(outcome Outcome) {
	s.keep(outcome)
	s.open = false
}

const (
	pieces       = 4096
	sessionShift = 32 // 2^32 values a session
)

func (s *Session) keep(outcome Outcome) {
	t := s.transaction(outcome)
	if len(s.spare) < len(t.Ops) {
		s.spare = make([]Op, max(pieces, len(t.Ops)))
	}
	n := copy(s.spare, t.Ops)
	t.Ops, s.spare = s.spare[:n:n], s.spare[n:]
	if len(s.done) == cap(s.done) {
		s.full, s.done = append(s.full, s.done), make([]Transaction, 0, pieces)
	}
	s.done = append(s.done, t)
}

func (s *Session) transaction(outcome Outcome) Transaction {
	return Transaction{Session: s.number, Begin: s.begin, End: s.recorder.clock.Add(1), Outcome: outcome, Ops: s.ops}
}

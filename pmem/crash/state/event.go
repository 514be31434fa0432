package state

import "errors"

// Kind is what an event does.
type Kind uint8

const (
	// Store writes Data at Off through the caches.
	Store Kind = iota
	// Stream writes Data at Off with non-temporal stores.
	Stream
	// Flush starts the write-back of the lines of Off and Len: CLWB, CLFLUSHOPT.
	Flush
	// Fence waits for the thread's flushes and non-temporal stores: SFENCE, MFENCE.
	Fence
	// SyncBegin starts a sync of the units of Off and Len. ID names it.
	SyncBegin
	// SyncEnd is the success of sync ID: what it covered when it began is durable.
	SyncEnd
	// SyncFail is its failure: what it covered is durable or lost for ever.
	SyncFail
	// Attribute writes Data at Off, a word that stands for something of the file beside its
	// bytes, such as its size: only a sync that covers the word makes it durable.
	Attribute
	// Zero makes Off and Len zeros at once: new space at the end of a file.
	Zero
	// Note has no effect on the medium.
	Note
)

// Event is one step of a trace.
type Event struct {
	Kind   Kind
	Thread int
	Off    int64
	Len    int64
	Data   []byte
	ID     int // of a sync
	Index  int // of the event in its trace; a Cell names its stores by it
}

var (
	// ErrMixed reports a line that was written with ordinary and with non-temporal stores
	// without a fence between: no rule says in which order those reach the medium.
	ErrMixed = errors.New("ordinary and non-temporal stores to one line without a fence between")
	// ErrRange reports an event outside the medium.
	ErrRange = errors.New("outside the medium")
)

// atom is a store of at most a word, inside a word: what a failure never tears.
type atom struct {
	at    int32 // in the medium's unit
	n     uint8
	data  [Word]byte
	event int32
}

// atoms calls fn for each piece of a store, in the order of addresses.
func atoms(e Event, fn func(off int64, piece []byte) error) error {
	off, data := e.Off, e.Data
	for len(data) > 0 {
		n := min(Word-int(off%Word), len(data))
		if err := fn(off, data[:n]); err != nil {
			return err
		}
		off, data = off+int64(n), data[n:]
	}
	return nil
}

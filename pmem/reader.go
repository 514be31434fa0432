package pmem

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

// Reader looks at a pool without changing it, and needs nothing of it to be right: what is wrong is
// a value. What live records of the log say is laid over what is read, so that a pool that was not
// closed looks as it will when it is opened. It reads through [medium.Medium.Read] alone, and only
// what it was asked for.
//
// Nobody may write the pool meanwhile. A Reader may be used by one goroutine at a time. It holds up
// to four times as many bytes as the live part of the log has.
//
// It also reads pools with features that a writer must know and this version does not.
type Reader struct {
	geometry
	m       *medium.Medium
	super   superblock
	tail    position
	head    position
	log     LogState
	overlay overlay
	scratch []byte
}

// LogState is what a pool's log holds.
type LogState struct {
	// Recovery is what opening the pool does with it. Of a pool that is open it is what a failure
	// now would make necessary.
	Recovery
	Sequence uint64 // of the last transaction
	// Err is why the pool can't be opened, or nil. Records before the place are in what is read.
	Err error
}

// NewReader reads the superblocks and the log of a pool, on a medium that nobody writes: most often
// one opened with ReadOnly and Sparse. A medium without a valid superblock is [ErrNoPool].
func NewReader(m *medium.Medium) (*Reader, error) {
	s, _, err := readSuperblocks(m)
	if err != nil {
		return nil, err
	}
	r := &Reader{m: m, super: *s, geometry: newGeometry(s.size, s.log, s.extent, s.span), overlay: overlay{}}
	r.readLog()
	return r, nil
}

// Medium returns the medium of a pool, to be looked at while the pool is quiet: no transaction may
// run meanwhile. It must not be changed.
func (p *Pool) Medium() *medium.Medium { return p.m }

// readLog lays the live records over what is read.
func (r *Reader) readLog() {
	all, tail, head, torn, err := liveLog(r.m, &r.super, &r.geometry)
	r.tail, r.head = tail, head
	r.log = LogState{Recovery{Records: len(all), Bytes: head.at - tail.at, Torn: torn}, head.sequence, err}
	for _, record := range all {
		if err := r.validateBody(record); err != nil {
			r.log.Err = errors.Join(r.log.Err, err)
			return
		}
		for body := record.body; len(body) > 0; {
			one, rest, err := nextRun(body)
			if err != nil { // it was validated
				return
			}
			r.overlay.add(one)
			body = rest
		}
	}
}

// Read copies bytes of the pool, as they are when the log has been replayed.
func (r *Reader) Read(off int64, p []byte) error {
	if err := r.m.Read(off, p); err != nil {
		return err
	}
	r.overlay.lay(off, p)
	return nil
}

// borrow reads bytes into memory that the next call uses again.
func (r *Reader) borrow(off, n int64) ([]byte, error) {
	if int64(cap(r.scratch)) < n {
		r.scratch = make([]byte, max(n, 1<<12))
	}
	b := r.scratch[:n]
	return b, r.Read(off, b)
}

// LogOffset returns where the log begins, in bytes.
func (r *Reader) LogOffset() int64 { return logOffset }

// SpanAt returns the span that an offset is in, if there is one.
func (r *Reader) SpanAt(off int64) (int64, bool) {
	i := r.spanOf(off)
	return i, off >= r.heap && i < r.spans
}

// ID returns the id of the pool, in hex.
func (r *Reader) ID() string { return hex.EncodeToString(r.super.id[:]) }

// Size returns that of the pool, in bytes.
func (r *Reader) Size() int64 { return r.size }

// Log returns what the log holds.
func (r *Reader) Log() LogState { return r.log }

// Info returns what [Pool.Info] does; its Recovery is what opening the pool would do.
func (r *Reader) Info() Info {
	types, _ := r.Types()
	tables := (r.spans + r.zoneMask) / (r.zoneMask + 1)
	return Info{ID: r.ID(), Version: FormatVersion, Size: r.size, LogSize: r.geometry.log, LogExtent: r.extent,
		SpanSize: r.span, Spans: r.spans - tables, Generation: r.super.generation, Sequence: r.head.sequence,
		LogUsed: r.head.at - r.tail.at, Types: len(types), Recovery: r.log.Recovery, Medium: r.m.Info()}
}

// Superblock is one of the two copies of what says where everything is.
type Superblock struct {
	Off        int64
	ID         string // in hex
	Counter    uint64 // the valid copy with the highest one wins
	Generation uint64
	Sequence   uint64
	Size       int64
	Log        int64 // length, and that of an extent of it, in bytes
	LogExtent  int64
	Span       int64
	Reserved   bool // bytes that are reserved are not 0
	// Features that this version does not know: those that a writer must know, with one of which the
	// pool can be read, and not opened to be written; and those that nobody must know, which are kept.
	Writers, Compatible uint64
	Err                 error // why it is not valid
}

// ReadSuperblocks reads both copies of a medium's superblock, whatever they hold.
func ReadSuperblocks(m *medium.Medium) (both [2]Superblock) {
	for i, off := range []int64{superA, superB} {
		b := make([]byte, superSize)
		both[i] = Superblock{Off: off}
		if both[i].Err = m.Read(off, b); both[i].Err != nil {
			continue
		}
		s, err := decodeSuperblock(off, b)
		if s == nil {
			if err == nil {
				err = damaged(off, "the superblock is not valid: %s", notSuperblock(b))
			}
			both[i].Err = err
			continue
		}
		both[i] = Superblock{Off: off, ID: hex.EncodeToString(s.id[:]), Counter: s.counter, Generation: s.generation, Sequence: s.sequence,
			Size: s.size, Log: s.log, LogExtent: s.extent, Span: s.span, Reserved: !isZero(s.reserved[:]) || le.Uint32(b[12:]) != superSize,
			Writers: s.writers, Compatible: s.compatible}
	}
	return both
}

func notSuperblock(b []byte) string {
	if string(b[:len(magic)]) != magic {
		return fmt.Sprintf("it begins with %q", b[:len(magic)])
	}
	return "its CRC is wrong"
}

// Tail is one of the two slots that say up to where records are durable in place.
type Tail struct {
	Off        int64
	Generation uint64
	Sequence   uint64
	Position   int64 // in the log, never wrapped
	Current    bool  // of the generation of the log: others count for nothing
	Reserved   bool  // bytes that are reserved are not 0
	Err        error // why it is not valid, where it is current
}

// Tails reads both slots.
func (r *Reader) Tails() (both [2]Tail) {
	for i := range both {
		off := tailPlace(int64(i))
		b := make([]byte, tailSize)
		both[i] = Tail{Off: off}
		if both[i].Err = r.m.Read(off, b); both[i].Err != nil {
			continue
		}
		t := Tail{Off: off, Generation: le.Uint64(b), Sequence: le.Uint64(b[8:]), Position: int64(le.Uint64(b[16:])), Reserved: le.Uint32(b[24:]) != 0}
		t.Current = t.Generation == r.super.generation
		if _, ok := decodeTail(b, r.super.generation); t.Current && !ok {
			t.Err = damaged(off, "a tail of the log is not valid")
		}
		both[i] = t
	}
	return both
}

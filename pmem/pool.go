package pmem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/safevma/safevma/pmem/medium"
)

// Options of a pool. The zero value is a good choice.
type Options struct {
	// LogSize is how long the log of a new pool is, in bytes: at least 1024, a multiple of
	// LogExtent. A transaction changes less than that. Zero is 1 MiB, or a sixteenth of a pool
	// smaller than 16 MiB.
	LogSize int64
	// LogExtent is the piece of the log that no part of a record crosses, in bytes: a multiple
	// of 64. Zero is a sixteenth of the log.
	LogExtent int64
	// SpanSize is how the heap of a new pool is divided, in bytes: a power of two from 4096 to
	// 65536. Objects up to a quarter of it share a span. Zero is 65536, or less for a pool
	// smaller than 2 MiB.
	SpanSize int64
	// Sparse leaves the space of a new pool unallocated until it is used. A full disk is then an
	// error of Alloc.
	Sparse bool
	// Rand gives generations and ids. Nil is crypto/rand.
	Rand func() uint64
	// Medium says how the file is opened.
	Medium medium.Options
}

func (o Options) withDefaults(size int64) Options {
	if o.Rand == nil {
		o.Rand = func() uint64 {
			var b [8]byte
			rand.Read(b[:]) // never fails, see crypto/rand
			return le.Uint64(b[:])
		}
	}
	if o.LogSize == 0 {
		o.LogSize = min(1<<20, max(leastLog, size/16&^4095))
	}
	if o.LogExtent == 0 {
		o.LogExtent = max(2*line, o.LogSize/16&^(line-1))
		o.LogSize = o.LogSize / o.LogExtent * o.LogExtent
	}
	if o.SpanSize == 0 {
		for o.SpanSize = mostSpan; o.SpanSize > leastSpan && size < 32*o.SpanSize; o.SpanSize /= 2 {
		}
	}
	return o
}

// Pool is an open pool. It is safe for concurrent use.
type Pool struct {
	geometry
	m        *medium.Medium
	options  Options
	recovery Recovery
	types    registry
	heap     heap
	stripes  stripes

	// turn is the appender's: it protects all up to batch.
	turn    *medium.Mutex
	super   superblock
	tail    position // live records are those behind tail, up to head
	head    position
	durable uint64 // the highest sequence known durable
	dirty   dirty
	failed  error
	parts   []part
	pieces  [][]byte
	batch   []*committer

	waiting *medium.Mutex // protects queue, and done of those in it
	over    *medium.Cond  // the turn is over
	queue   []*committer
	queued  atomic.Int64

	applied      atomic.Uint64 // the clock: the sequence up to which all is in place
	checkpointed atomic.Uint64 // the sequence up to which all is durable in place
	gate         gate
	poisoned     atomic.Pointer[error]
	halved       atomic.Bool  // a transaction is half in place: nothing can be read
	active       atomic.Int64 // transactions
}

func newPool(m *medium.Medium, s *superblock, o Options) *Pool {
	p := &Pool{m: m, options: o, super: *s, geometry: newGeometry(s.size, s.log, s.extent, s.span)}
	p.turn, p.waiting = m.NewMutex(), m.NewMutex()
	p.over = medium.NewCond(p.waiting)
	p.stripes.init(m, s.size)
	p.gate.lock = m.NewMutex()
	p.types.lock = m.NewMutex()
	p.heap.init(p)
	return p
}

// Create makes a pool in a new file of so many bytes. A failure meanwhile leaves no file of that
// name, or the whole pool. A name that is taken is EEXIST.
func Create(name string, size int64, o Options) (*Pool, error) {
	mo := o.Medium
	mo.Sparse = o.Sparse
	m, err := medium.Create(name, size, mo)
	if err != nil {
		return nil, err
	}
	p, err := CreateOn(m, o)
	if err == nil {
		err = publish(m)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create the pool %s: %w", name, err), m.Close())
	}
	return p, nil
}

// publish gives a file its name: whoever finds that finds all of the file, and it stays.
func publish(m *medium.Medium) error {
	if err := m.SyncFile(); err != nil {
		return err
	}
	if err := m.Link(); err != nil {
		return err
	}
	return m.SyncDirectory()
}

// CreateOn makes a pool on a medium of zeros, of its whole size. The pool closes the medium.
func CreateOn(m *medium.Medium, o Options) (*Pool, error) {
	size := m.Size()
	o = o.withDefaults(size)
	if err := validateSizes(size, o.LogSize, o.LogExtent, o.SpanSize); err != nil {
		return nil, err
	}
	s := superblock{size: size, log: o.LogSize, extent: o.LogExtent, span: o.SpanSize}
	le.PutUint64(s.id[:], o.Rand())
	le.PutUint64(s.id[8:], o.Rand())
	p := newPool(m, &s, o)
	err := m.Guard(func() error {
		if err := p.prepare(); err != nil {
			return err
		}
		return p.begin(superA)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// prepare allocates what every pool uses. On an ordinary file the log is written, and not only
// allocated: a synchronous write of it then changes nothing but its bytes.
func (p *Pool) prepare() error {
	if err := p.m.Allocate(0, p.geometry.heap); err != nil {
		return err
	}
	if err := p.m.Write(rootPlace(0), rootEntry{}.encode(0), medium.Superblock); err != nil {
		return err
	}
	if err := p.m.Write(typePlace(0), typeEntry{}.encode(0), medium.Superblock); err != nil {
		return err
	}
	if p.m.Info().Kind != medium.PageCache {
		return nil
	}
	return p.m.Write(logOffset, make([]byte, p.log), medium.Log)
}

// Open opens a pool, and recovers it: what was committed is there, and nothing else. One process
// has it open at a time; others get [medium.ErrLocked].
func Open(name string, o Options) (*Pool, error) {
	mo := o.Medium
	mo.Sparse = true // what is not allocated is when it is used
	m, err := medium.Open(name, mo)
	if err != nil {
		return nil, err
	}
	p, err := OpenOn(m, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the pool %s: %w", name, err), m.Close())
	}
	return p, nil
}

// OpenOn opens the pool on a medium. The pool closes the medium.
func OpenOn(m *medium.Medium, o Options) (*Pool, error) {
	s, other, err := readSuperblocks(m)
	if err == nil {
		err = s.writable()
	}
	if err != nil {
		return nil, err
	}
	p := newPool(m, s, o.withDefaults(s.size))
	if err := m.Guard(func() error { return p.recover(other) }); err != nil {
		return nil, err
	}
	p.applied.Store(p.head.sequence)
	p.checkpointed.Store(p.head.sequence)
	p.types.load(p)
	return p, nil
}

// Close makes everything durable in place, and closes the medium. It waits for transactions that
// run; later ones get ErrClosed. It must not be called within one.
func (p *Pool) Close() error {
	p.turn.Lock()
	if p.failed == ErrClosed {
		p.turn.Unlock()
		return nil
	}
	var err error
	if p.failed == nil {
		err = p.checkpoint()
	}
	p.setFailed(ErrClosed)
	p.turn.Unlock()
	p.pass()
	p.m.Await(func() bool { return p.active.Load() == 0 })
	return errors.Join(err, p.m.Close())
}

// Checkpoint empties the log: what is committed is durable in place.
func (p *Pool) Checkpoint(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.turn.Lock()
	defer p.pass()
	defer p.turn.Unlock()
	return p.checkpointNow()
}

// checkpointNow is called under the turn.
func (p *Pool) checkpointNow() error {
	if err := p.unusable(); err != nil {
		return err
	}
	if err := p.checkpoint(); err != nil {
		return p.poison(err)
	}
	return nil
}

// poison stops a pool after a failure that leaves open what is durable: what a failed sync
// covered may be lost for ever, and a later one does not bring it back. It is called under the
// turn.
func (p *Pool) poison(err error) error {
	p.setFailed(fmt.Errorf("%w: %w", ErrPoisoned, err))
	return p.failed
}

func (p *Pool) setFailed(err error) {
	p.failed = err
	p.poisoned.Store(&err)
}

// unusable says why nothing can be committed. It is called under the turn.
func (p *Pool) unusable() error { return p.failed }

// broken says the same without the turn.
func (p *Pool) broken() error {
	if err := p.poisoned.Load(); err != nil {
		return *err
	}
	return nil
}

package pmem

import (
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

// committer hands a record to the appender.
type committer struct {
	record   []byte // room for a header, and the body
	sum      uint32 // CRC of the body
	frees    bool   // allocates nothing
	sequence uint64 // that it got
	done     bool   // protected by Pool.waiting
	err      error
}

// append makes a record durable and puts its changes in place, or returns why not. Others may
// wait with theirs: whoever has the turn writes the records of all, with one fence (R3). An
// error that is an ErrOutcomeUnknown leaves open whether the record is durable.
func (p *Pool) append(c *committer) error {
	if int64(len(c.record))-headerSize > p.most(c.frees) {
		return fmt.Errorf("%w: the transaction changes %d bytes, and the log of this pool takes %d", ErrTooBig, len(c.record)-headerSize, p.most(c.frees))
	}
	// Who finds others waiting waits with them: else one goroutine takes the turn again and again,
	// and nothing is combined.
	if p.queued.Load() > 0 || !p.turn.TryLock() {
		return p.appendTogether(c)
	}
	p.batch = append(p.batch[:0], c)
	p.appendBatch()
	p.turn.Unlock()
	p.pass()
	return c.err
}

// appendTogether queues a record, and waits until somebody has appended it, or does so.
func (p *Pool) appendTogether(c *committer) error {
	p.waiting.Lock()
	p.queue = append(p.queue, c)
	p.queued.Add(1)
	for !c.done {
		if !p.turn.TryLock() {
			p.over.Wait()
			continue
		}
		p.batch = append(p.batch[:0], p.queue...)
		p.queue = p.queue[:0]
		p.waiting.Unlock()
		p.appendBatch()
		p.waiting.Lock()
		for _, c := range p.batch {
			c.done = true
		}
		p.queued.Add(-int64(len(p.batch)))
		p.turn.Unlock()
		p.over.Broadcast()
	}
	p.waiting.Unlock()
	return c.err
}

// pass wakes those that queued while the turn was taken. Who queues counts before it tries to
// take the turn, so either sees the other.
func (p *Pool) pass() {
	if p.queued.Load() > 0 {
		p.waiting.Lock()
		p.over.Broadcast()
		p.waiting.Unlock()
	}
}

// appendBatch appends the records of p.batch, in sequence, and applies them. It is called under
// the turn, which others can take again whatever faults.
func (p *Pool) appendBatch() {
	left := p.batch
	err := p.m.Guard(func() error {
		for len(left) > 0 {
			n, err := p.appendSome(left)
			for _, c := range left[:n] {
				c.err = err
			}
			left = left[n:]
		}
		return nil
	})
	if err == nil {
		return
	}
	err = p.inDoubt(err)
	for _, c := range left {
		c.err = err
	}
}

// inDoubt stops a pool after a failure from which it is not known whether records are durable.
// Where they are in place in part, nobody may look at that.
func (p *Pool) inDoubt(err error) error {
	if p.applied.Load() != p.head.sequence {
		p.halved.Store(true)
		err = fmt.Errorf("a transaction is durable, and could not be put in place: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, p.poison(err))
}

// appendSome appends as many records as the log has room for: at least one.
func (p *Pool) appendSome(all []*committer) (n int, err error) {
	if err := p.unusable(); err != nil {
		return len(all), err
	}
	free := p.log - (p.head.at - p.tail.at)
	at := p.head.at
	for ; n < len(all); n++ {
		need := p.need(at, int64(len(all[n].record))-headerSize)
		if need > free {
			break
		}
		at, free = at+need, free-need
	}
	if n == 0 {
		if err := p.checkpoint(); err != nil {
			return len(all), p.poison(err)
		}
		return 0, nil
	}
	if err := p.write(all[:n]); err != nil {
		return n, p.inDoubt(err)
	}
	if err := p.applyAll(all[:n]); err != nil {
		return n, p.inDoubt(err)
	}
	return n, nil
}

// write makes records durable: with one fence, but where they go round the end of the log. R3:
// they are durable in sequence, and with them all before.
func (p *Pool) write(all []*committer) error {
	at := p.head
	p.parts = p.parts[:0]
	for _, c := range all {
		p.parts = p.build(c.record, c.sum, at, p.parts)
		at = position{at.at + p.need(at.at, int64(len(c.record))-headerSize), at.sequence + 1}
		c.sequence = at.sequence
	}
	if err := p.writeParts(p.head.at); err != nil {
		return err
	}
	p.head, p.durable = at, at.sequence
	return nil
}

var zeros [line]byte

// writeParts writes p.parts, each at a line of its own, from a position on.
func (p *Pool) writeParts(at int64) error {
	if len(p.parts) == 1 && p.contiguous(p.parts[0]) {
		return p.m.Write(p.logPlace(at), p.parts[0].whole(), medium.Log)
	}
	from := at
	p.pieces = p.pieces[:0]
	for i, part := range p.parts {
		p.pieces = append(p.pieces, part.header, part.body)
		n := int64(headerSize + len(part.body))
		if gap := roundUp(at+n, line) - at - n; gap > 0 && i < len(p.parts)-1 {
			p.pieces = append(p.pieces, zeros[:gap])
		}
		if at = roundUp(at+n, line); at%p.log == 0 || i == len(p.parts)-1 {
			if err := p.m.WriteAll(p.logPlace(from), p.pieces, medium.Log); err != nil {
				return err
			}
			from, p.pieces = at, p.pieces[:0]
		}
	}
	return nil
}

// contiguous reports whether the body of a part stands behind its header.
func (p *Pool) contiguous(a part) bool {
	return cap(a.header) >= headerSize+len(a.body) && (len(a.body) == 0 || &a.header[:headerSize+1][headerSize] == &a.body[0])
}

func (a part) whole() []byte { return a.header[:headerSize+len(a.body)] }

// applyAll puts changes in place, in sequence (R1, R2). R6: only then is the clock moved, and
// only then do the committers release their locks.
func (p *Pool) applyAll(all []*committer) error {
	for _, c := range all {
		if err := p.apply(c.record[headerSize:]); err != nil {
			return err
		}
	}
	release(&p.applied, p.head.sequence)
	return nil
}

// apply puts the changes of a record in place, with plain stores.
func (p *Pool) apply(body []byte) error {
	for len(body) > 0 {
		r, rest, err := nextRun(body)
		if err != nil {
			return err
		}
		if err := p.put(r); err != nil {
			return err
		}
		p.dirty.add(medium.Extent{Off: r.off, Len: int64(len(r.data))})
		body = rest
	}
	return nil
}

func (p *Pool) put(r run) error {
	if r.kind == runPut {
		return p.m.Store(r.off, r.data, medium.Apply)
	}
	b, err := p.m.View(r.off, word)
	if err != nil {
		return err
	}
	v, mask := le.Uint64(b), le.Uint64(r.data)
	if r.kind == runSet {
		v |= mask
	} else {
		v &^= mask
	}
	return p.m.Store8(r.off, v, medium.Apply)
}

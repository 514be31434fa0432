package pmem

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

// Recovery says what opening a pool found in its log.
type Recovery struct {
	Records int // that were replayed
	Bytes   int64
	// Torn: the log ends in a record that is not whole. If the pool was in use when it failed,
	// that is the last batch, which nobody was told was durable (R7).
	Torn bool
}

// liveLog reads the records behind the tail. R5: exactly tail, +1, +1, and so on.
func liveLog(m *medium.Medium, s *superblock, g *geometry) (all []record, tail, head position, torn bool, err error) {
	l := &logReader{m, g, s.generation}
	tail = readTail(m, s)
	head = tail
	for head.at-tail.at < g.log {
		r, err := l.read(head.at)
		if err != nil {
			return nil, tail, head, false, err
		}
		if r.torn || r.sequence != head.sequence+1 || head.at+r.length-tail.at > g.log {
			// What has another sequence is what the last round left, or its header is damaged.
			torn = r.torn && r.sequence == head.sequence+1 || l.lost(head.at, head.sequence+1)
			break
		}
		all = append(all, r)
		head = position{head.at + r.length, r.sequence}
	}
	rest, err := l.findDamage(head.sequence)
	return all, tail, head, torn || rest, err
}

// findDamage looks for a valid record that says that more was durable than was replayed (R7). It
// reports whether anything is left of later records: then the log is torn. What can't be read is
// no record: it is behind the end of the log, where nothing has to be.
func (l *logReader) findDamage(replayed uint64) (rest bool, err error) {
	for at := int64(0); at < l.g.log; at += line {
		var h [headerSize]byte
		place := l.g.logPlace(at)
		if l.m.Read(place+word, h[word:2*word]) != nil || le.Uint64(h[8:]) != l.generation || l.m.Read(place, h[:]) != nil {
			continue
		}
		rest = rest || le.Uint64(h[16:]) > replayed
		if le.Uint64(h[24:]) <= replayed || le.Uint16(h[32:]) != 0 {
			continue
		}
		if r, err := l.read(at); err == nil && r.durable > replayed && r.length > 0 {
			return rest, damaged(place, "the log: sequence %d is not valid, and the record of sequence %d says that it was durable", replayed+1, r.sequence)
		}
	}
	return rest, nil
}

// recover replays the log, makes the result durable, and begins an empty log.
func (p *Pool) recover(other int64) error {
	all, tail, head, torn, err := liveLog(p.m, &p.super, &p.geometry)
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := p.validateBody(r); err != nil {
			return err
		}
	}
	p.tail, p.head = tail, head
	p.recovery = Recovery{Records: len(all), Bytes: head.at - tail.at, Torn: torn}
	if err := p.rewrite(superA + superB - other); err != nil {
		return err
	}
	for _, r := range all {
		if err := p.apply(r.body); err != nil {
			return err
		}
	}
	if err := p.m.PersistAll(p.dirty.all); err != nil {
		return err
	}
	p.dirty = dirty{}
	return p.begin(other)
}

// validateBody reports a record that is valid and says what can't be done. Nothing of it is.
func (g *geometry) validateBody(r record) error {
	for body := r.body; len(body) > 0; {
		one, rest, err := nextRun(body)
		if err == nil {
			err = g.validate(one)
		}
		if err != nil {
			return errors.Join(damaged(logOffset, "the record of sequence %d", r.sequence), err)
		}
		body = rest
	}
	return nil
}

// rewrite makes durable what recovery goes by, as it was read: the superblock, which the other one
// is about to follow, and what is replayed. It may be in caches alone: of a page cache after a
// failed sync, of a CPU after a process was killed between its stores and its fence
// (docs/rfcs/0002). The log is one write, but where it goes round its end.
func (p *Pool) rewrite(super int64) error {
	if err := p.m.Write(super, p.super.encode(), medium.Superblock); err != nil {
		return err
	}
	for at := p.tail.at; at < p.head.at; {
		b := make([]byte, min(p.head.at-at, p.log-at%p.log))
		if err := p.m.Read(p.logPlace(at), b); err != nil {
			return err
		}
		if err := p.m.Write(p.logPlace(at), b, medium.Log); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

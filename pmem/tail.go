package pmem

import "github.com/safevma/safevma/pmem/medium"

// A tail slot says up to where records are applied and durable. There are two, written one after
// the other at each checkpoint, so that a torn one leaves the other. Both are durable before what
// they pass is overwritten: one that is lost later leaves the other too.
//
//	 0  u64 generation
//	 8  u64 sequence
//	16  u64 position in the log, never wrapped
//	24  u32 reserved: 0
//	28  u32 checksum of all before it
func encodeTail(generation uint64, at position) []byte {
	b := make([]byte, tailSize)
	le.PutUint64(b, generation)
	le.PutUint64(b[8:], at.sequence)
	le.PutUint64(b[16:], uint64(at.at))
	le.PutUint32(b[28:], checksum(b[:28]))
	return b
}

// decodeTail reports whether a slot is valid, and of this generation.
func decodeTail(b []byte, generation uint64) (position, bool) {
	at := position{int64(le.Uint64(b[16:])), le.Uint64(b[8:])}
	ok := le.Uint64(b) == generation && le.Uint32(b[28:]) == checksum(b[:28]) && at.at >= 0 && at.at%line == 0
	return at, ok
}

func tailPlace(i int64) int64 { return superA + tailOffset + i*(superB-superA) }

// readTail takes the valid slot with the highest sequence, if there is one. A slot that can't be
// read is like one that is not valid: if it was the newer one, what it hid is found (R7).
func readTail(m *medium.Medium, s *superblock) position {
	best := position{0, s.sequence}
	for i := range int64(2) {
		b := make([]byte, tailSize)
		if m.Read(tailPlace(i), b) != nil {
			continue
		}
		if at, ok := decodeTail(b, s.generation); ok && at.sequence > best.sequence {
			best = at
		}
	}
	return best
}

// checkpoint makes durable what was applied, and then moves the tail. R5: in that order, and
// nothing behind the tail is overwritten before the tail is durable. It is called under the turn.
func (p *Pool) checkpoint() error {
	if p.tail == p.head {
		return nil
	}
	return p.m.Guard(p.moveTail)
}

func (p *Pool) moveTail() error {
	if err := p.m.PersistAll(p.dirty.all); err != nil {
		return err
	}
	b := encodeTail(p.super.generation, p.head)
	for i := range int64(2) {
		if err := p.m.Write(tailPlace(i), b, medium.Superblock); err != nil {
			return err
		}
	}
	p.dirty.clear()
	p.tail = p.head
	p.checkpointed.Store(p.tail.sequence)
	return nil
}

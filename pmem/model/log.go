package model

import "github.com/safevma/safevma/pmem/medium"

// maxChanges is how many fit into a slot.
const maxChanges = 5

func (p *Pool) slotOffset(slot uint64) int64 { return logOffset + slotSize*int64(slot%p.Slots) }

// record is one of the log.
type record struct {
	slot                          uint64 // where it begins
	generation, sequence, durable uint64
	changes                       []change
}

// The word of a part that counts its changes also says which part of its record it is, and
// whether another one follows.
const (
	partShift = 8
	more      = 1 << 16
)

// perSlot is how many changes fit.
func (p *Pool) perSlot() int {
	if p.Changes > 0 {
		return p.Changes
	}
	return maxChanges
}

// slotsOf returns how many slots a record takes: a chain, if it is bigger than one.
func (p *Pool) slotsOf(changes []change) uint64 {
	return uint64(max(1, (len(changes)+p.perSlot()-1)/p.perSlot()))
}

// records lays records behind the head.
func (p *Pool) records(all [][]change) []*record {
	var records []*record
	at := p.head
	for _, changes := range all {
		r := &record{at.slot, p.generation, at.sequence + 1, p.durable, changes}
		records = append(records, r)
		at = p.end(r)
	}
	return records
}

// end is the position behind a record.
func (p *Pool) end(r *record) position { return position{r.slot + p.slotsOf(r.changes), r.sequence} }

// parts returns the words of each slot. The last has the CRC, which covers all.
func (p *Pool) parts(r *record) [][]uint64 {
	var all [][]uint64
	var chain []uint64
	changes := r.changes
	for left := p.slotsOf(changes); left > 0; left-- {
		n := min(len(changes), p.perSlot())
		kind := uint64(n) | uint64(len(all))<<partShift
		if left > 1 {
			kind |= more
		}
		w := []uint64{r.generation, r.sequence, r.durable, kind}
		for _, c := range changes[:n] {
			w = append(w, c.target, c.value)
		}
		chain, changes = append(chain, w...), changes[n:]
		if left == 1 {
			w = append(w, p.checksumChain(chain, w))
		}
		all = append(all, w)
	}
	return all
}

func (p *Pool) checksumChain(chain, last []uint64) uint64 {
	if p.broken(ChainLast) {
		chain = last
	}
	return checksum(chain...)
}

// readRecord reads the chain that begins in a slot, if it fits: that is asked of its sequence
// and its known-durable mark. R4: a record counts only if this generation wrote it.
func (p *Pool) readRecord(slot uint64, fits func(sequence, durable uint64) bool) (*record, error) {
	var chain []uint64
	r := &record{slot: slot}
	for part := range p.Slots {
		w, err := p.readPart(slot+part, part, fits)
		if err != nil || w == nil {
			return nil, err
		}
		chain = append(chain, w...)
		r.generation, r.sequence, r.durable = w[0], w[1], w[2]
		for i := 4; i < len(w); i += 2 {
			r.changes = append(r.changes, change{w[i], w[i+1]})
		}
		if w[3]&more != 0 {
			continue
		}
		crc, err := p.m.Load8(p.slotOffset(slot+part) + 8*int64(len(w)))
		if err != nil || crc != p.checksumChain(chain, w) {
			return nil, err
		}
		return r, nil
	}
	return nil, nil
}

// readPart returns the words of a part before the CRC, or nil. It reads no further than to what
// can't be: so images that differ behind it are one for the explorer. What can be, is for the
// CRC to say.
func (p *Pool) readPart(slot, part uint64, fits func(sequence, durable uint64) bool) (w []uint64, err error) {
	for n := 4; len(w) < n; {
		v, err := p.m.Load8(p.slotOffset(slot) + 8*int64(len(w)))
		if err != nil {
			return nil, err
		}
		ok := true
		switch i := len(w); {
		case i == 0:
			ok = v == p.generation
		case i == 2:
			ok = fits(w[1], v)
		case i == 3:
			ok = v&^(0xff|more) == part<<partShift && v&0xff <= maxChanges
			n += 2 * int(v&0xff)
		case i > 3 && i%2 == 0:
			ok = v >= wordsOffset && v < Grown
		}
		if !ok {
			return nil, nil
		}
		w = append(w, v)
	}
	return w, nil
}

// stream puts a record where it lies.
func (p *Pool) stream(t *medium.Thread, r *record) error {
	for i, w := range p.parts(r) {
		if err := t.Stream(p.slotOffset(r.slot+uint64(i)), encode(w), medium.Log); err != nil {
			return err
		}
	}
	return nil
}

// appendAll appends records, in sequence, with one fence. That is the commit.
func (p *Pool) appendAll(all []*record) error {
	t := p.m.Pin()
	defer t.Unpin()
	for _, r := range all {
		if err := p.stream(t, r); err != nil {
			return err
		}
	}
	if p.broken(R6) { // seen before it is durable
		if err := p.applyAll(all); err != nil {
			return err
		}
		p.lock.Unlock()
		p.lock.Lock()
	}
	if !p.broken(R3) { // R3: durable before it is acknowledged, with every earlier sequence
		if err := t.Fence(); err != nil {
			return err
		}
	}
	p.appended(all)
	return nil
}

// appended moves the head behind records that are durable.
func (p *Pool) appended(all []*record) {
	p.head = p.end(all[len(all)-1])
	p.durable = p.head.sequence
}

package mutation

// logMutants break how a record gets into the log, and into place.
func logMutants() []Mutant {
	const writeOne = `return p.m.Write(p.logPlace(at), p.parts[0].whole(), medium.Log)`
	const writeParts = `if err := p.m.WriteAll(p.logPlace(from), p.pieces, medium.Log); err != nil {`
	return []Mutant{
		one("record without fence", "R3: a record of one part is stored, and not made durable", "append.go",
			writeOne, `return p.m.Store(p.logPlace(at), p.parts[0].whole(), medium.Log)`),
		one("record not written", "R3: a record of one part is not written", "append.go", writeOne, `return nil`),
		one("chain without fence", "R3: records of more parts, or more records, are stored, and not made durable", "append.go",
			writeParts, `if err := func() error {
				at := p.logPlace(from)
				for _, b := range p.pieces {
					if err := p.m.Store(at, b, medium.Log); err != nil {
						return err
					}
					at += int64(len(b))
				}
				return nil
			}(); err != nil {`),
		one("chain not written", "R3: records of more parts, or more records, are not written", "append.go", writeParts, `if err := error(nil); err != nil || from < 0 {`),
		one("apply before write", "R3: the changes are put in place before the record is durable", "append.go",
			`	if err := p.writeParts(p.head.at); err != nil {
		return err
	}`, `	for _, c := range all {
		if err := p.apply(c.record[headerSize:]); err != nil {
			return err
		}
	}
	if err := p.writeParts(p.head.at); err != nil {
		return err
	}`),
		one("apply left out", "the changes are not put in place", "append.go",
			`		if err := p.apply(c.record[headerSize:]); err != nil {
			return err
		}
	}
	release(&p.applied`, `	_ = c
	}
	release(&p.applied`),
		one("live log overwritten", "R5: a record is written although the log has no room behind the tail", "append.go", `if need > free {`, `if false {`),
		one("free space one line too long", "R5: the log is thought to have a line more than it has", "append.go",
			`free := p.log - (p.head.at - p.tail.at)`, `free := p.log - (p.head.at - p.tail.at) + line`),
		one("sequence not raised", "R5: records have the same sequence", "append.go",
			`int64(len(c.record))-headerSize), at.sequence + 1}`, `int64(len(c.record))-headerSize), at.sequence}`),
		one("clock early", "R6: the clock is moved before the record is written", "append.go",
			`	if err := p.write(all[:n]); err != nil {`, `	p.applied.Store(p.head.sequence + uint64(n))
	if err := p.write(all[:n]); err != nil {`).later(),
		one("clock before apply", "R6: the clock is moved before the changes are in place", "append.go",
			`func (p *Pool) applyAll(all []*committer) error {`, `func (p *Pool) applyAll(all []*committer) error {
	p.applied.Store(p.head.sequence)`).later(),
		one("clock not moved", "R6: the clock stays", "append.go", `	release(&p.applied, p.head.sequence)
	return nil`, `	return nil`),
		one("turn ended early", "the turn of the appender is over before the record is written", "append.go",
			`	p.appendBatch()
	p.turn.Unlock()
	p.pass()`, `	p.turn.Unlock()
	p.appendBatch()
	p.pass()`).later(),
		one("woken early", "R3: who waits for another's batch is told before it is durable", "append.go",
			`		p.waiting.Unlock()
		p.appendBatch()`, `		for _, c := range p.batch {
			c.done = true
		}
		p.waiting.Unlock()
		p.over.Broadcast()
		p.appendBatch()`).later(),
		one("waiters not woken", "who queued while the turn was taken sleeps on", "append.go", `if p.queued.Load() > 0 {`, `if false {`).later(),
		one("batch cut", "only the first of a batch is put in place", "append.go", `p.applyAll(all[:n])`, `p.applyAll(all[:1])`).later(),
		one("set mask as put", "a mask that sets bits clears the others", "append.go", `v |= mask`, `v = mask`).later(),
		one("clear mask as put", "a mask that clears bits clears the others", "append.go", `v &^= mask`, `v = 0`).later(),
		one("changes not remembered", "R5: a checkpoint does not know what was put in place", "append.go",
			`		p.dirty.add(medium.Extent{Off: r.off, Len: int64(len(r.data))})
`, `		_ = medium.Extent{}
`),
		one("old changes taken for remembered", "R5: a checkpoint does not know of what the one before it knew", "dirty.go",
			`	clear(d.recent[:])
`, ``),
		one("durable not known", "R7: records do not say what was durable before them", "append.go", `p.head, p.durable = at, at.sequence`, `p.head = at`).later(),
		one("durable too high", "R7: a record of a batch says that those before it in the batch are durable", "log.go",
			`putHeader(h, len(record), p.super.generation, at.sequence+1, p.durable, 0, false)`,
			`putHeader(h, len(record), p.super.generation, at.sequence+1, at.sequence, 0, false)`),
		{Name: "CRC of the last part alone", Breaks: "the CRC of a chain covers its last part alone, where it is written and where it is read", Edits: []Edit{
			{"log.go", `crc = chainCRC(crc, h, body[:n])`, `crc = chainCRC(0, h, body[:n])`},
			{"log.go", `crc = chainCRC(crc, h[:], body)`, `crc = chainCRC(0, h[:], body)`},
		}},
	}
}

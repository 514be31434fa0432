package mutation

// recoveryMutants break what opening a pool does.
func recoveryMutants() []Mutant {
	const rewrite = `	if err := p.rewrite(superA + superB - other); err != nil {
		return err
	}
`
	const replay = `	for _, r := range all {
		if err := p.apply(r.body); err != nil {
			return err
		}
	}
`
	const persist = `	if err := p.m.PersistAll(p.dirty.all); err != nil {
		return err
	}
`
	const order = `for _, off := range []int64{first, superA + superB - first} {`
	const write = `p.m.Write(off, p.super.encode(), medium.Superblock)`
	return []Mutant{
		one("live log not written again", "what is replayed is not made durable before", "recover.go",
			`for at := p.tail.at; at < p.head.at; {`, `for at := p.head.at; at < p.head.at; {`),
		one("superblock not written again", "R4: the superblock that recovery goes by may be in caches alone", "recover.go",
			`p.m.Write(super, p.super.encode(), medium.Superblock)`, `p.m.Read(super, make([]byte, word))`),
		one("live log written again without fence", "what is replayed is stored again, and not made durable", "recover.go",
			`p.m.Write(p.logPlace(at), b, medium.Log)`, `p.m.Store(p.logPlace(at), b, medium.Log)`),
		one("replay before the log is written again", "what is replayed is made durable after", "recover.go", rewrite+replay, replay+rewrite),
		one("replay left out", "records are not replayed", "recover.go", replay, ``),
		one("recovery without persist", "R5: the log is dropped before what was replayed is durable", "recover.go", persist, ``),
		one("superblocks before persist", "R5: the log is dropped, and then what was replayed is made durable", "recover.go",
			persist+`	p.dirty = dirty{}
	return p.begin(other)`, `	if err := p.begin(other); err != nil {
		return err
	}
`+persist+`	p.dirty = dirty{}
	return nil`),
		one("no new opening", "R4: opening a pool leaves the superblocks and the log as they are", "recover.go", `return p.begin(other)`, `return nil`),
		one("same generation", "R4: an opening has the generation of the one before it", "superblock.go",
			`	p.super.generation = p.options.Rand()`, `	if p.super.generation == 0 {
		p.super.generation = 1
	}
	_ = p.options.Rand()`),
		one("one superblock", "R4: an opening writes one superblock, and not both", "superblock.go", order, `for _, off := range []int64{first} {`),
		one("newer superblock first", "the newer superblock is written first: torn, the older one counts", "superblock.go",
			order, `for _, off := range []int64{superA + superB - first, first} {`).
			survives("nothing is appended before both are durable, so until then either of them leads to the same"),
		one("superblock without fence", "R4: records are appended before the superblocks are durable", "superblock.go",
			write, `p.m.Store(off, p.super.encode(), medium.Superblock)`),
		one("superblock not written", "R4: the superblocks are not written", "superblock.go", `if err := `+write+`; err != nil {`, `if err := error(nil); err != nil || off < 0 {`),
		one("counter not raised", "R4: both superblocks have the counter of the last opening", "superblock.go", `		p.super.counter++
`, ``),
		one("older superblock wins", "R4: the superblock with the lowest counter counts", "superblock.go", `s.counter > best.counter`, `s.counter < best.counter`).
			survives("nothing is appended before both are durable, so until then either of them leads to the same"),
		one("sequence not carried on", "the superblock has not the sequence that was reached", "superblock.go", `	p.super.sequence = p.head.sequence
`, ``),
		one("CRC of the superblock", "a torn superblock is believed", "superblock.go", ` || le.Uint32(b[superSize-4:]) != checksum(b[:superSize-4])`, ``),
		one("CRC of a record", "a torn record is replayed", "log.go", `valid := crc == le.Uint32(h[:]); !valid || foreign`, `valid := true; !valid || foreign`),
		one("generation of a record", "R4: a record of another opening is replayed", "log.go", `if le.Uint64(h[8:]) != l.generation {
			if i > 0`, `if false {
			if i > 0`),
		one("number of a part", "a part of a chain is taken for any other one", "log.go", ` || int(le.Uint16(h[32:])) != i`, ``).
			survives("the CRC of a chain covers the headers of its parts, in sequence: that of other parts is another one"),
		one("sequence of a record", "R5: a record of the last round of the log is replayed", "recover.go",
			`if r.torn || r.sequence != head.sequence+1 ||`, `if r.torn || r.sequence == 0 ||`),
		one("length of the live log", "R5: records are read beyond what the log holds", "recover.go", ` || head.at+r.length-tail.at > g.log {`, ` {`).
			survives("a record that long covers the first one behind the tail, which was valid: then this one's CRC is wrong"),
		one("known durable", "R7: a lost record that a later one calls durable is not missed", "recover.go",
			`rest, err := l.findDamage(head.sequence)`, `rest, err := false, error(nil)`).later(),
		one("known durable, of any record", "R7: what is not valid may call a record durable", "recover.go",
			`err == nil && r.durable > replayed && r.length > 0`, `err == nil`),
		one("torn record not noticed", "opening does not say that the log ends in a torn record", "recover.go",
			`torn = r.torn && r.sequence == head.sequence+1 || l.lost(head.at, head.sequence+1)`, `torn = false`).later(),
		one("records not validated", "a record that is valid and says what can't be is replayed", "recover.go",
			`		if err := p.validateBody(r); err != nil {
			return err
		}
`, `		_ = r
`).later(),
		one("new pool without superblocks", "creating a pool does not write the superblocks", "pool.go", `return p.begin(superA)`, `return nil`),
	}
}

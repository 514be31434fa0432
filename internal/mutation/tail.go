package mutation

// tailMutants break the checkpoint.
func tailMutants() []Mutant {
	const persist = `	if err := p.m.PersistAll(p.dirty.all); err != nil {
		return err
	}
`
	const tail = `	b := encodeTail(p.super.generation, p.head)
	for i := range int64(2) {
		if err := p.m.Write(tailPlace(i), b, medium.Superblock); err != nil {
			return err
		}
	}
`
	const write = `p.m.Write(tailPlace(i), b, medium.Superblock)`
	return []Mutant{
		one("checkpoint without persist", "R5: the tail passes what is in place, and not durable", "tail.go", persist, ``),
		one("tail before persist", "R5: the tail is written before what it passes is durable", "tail.go", persist+tail, tail+persist),
		one("tail without fence", "R5: the log is overwritten before the tail is durable", "tail.go", write, `p.m.Store(tailPlace(i), b, medium.Superblock)`),
		one("tail not written", "R5: the log is overwritten, and the tail on the medium stays", "tail.go", tail, ``),
		one("one slot of the tail", "the second slot of the tail is not written: one that is lost takes records with it", "tail.go",
			`for i := range int64(2) {
		if err := p.m.Write`, `for i := range int64(1) {
		if err := p.m.Write`),
		one("both slots at once", "both slots of the tail are stored, and then made durable: one failure tears both", "tail.go",
			tail, `	b := encodeTail(p.super.generation, p.head)
	for i := range int64(2) {
		if err := p.m.Store(tailPlace(i), b, medium.Superblock); err != nil {
			return err
		}
	}
	if err := p.m.PersistAll([]medium.Extent{{Off: tailPlace(0), Len: tailSize}, {Off: tailPlace(1), Len: tailSize}}); err != nil {
		return err
	}
`),
		one("CRC of the tail", "a torn slot of the tail is believed", "tail.go", `le.Uint32(b[28:]) == checksum(b[:28]) && `, ``),
		one("generation of the tail", "R4: a slot of the tail of another opening is believed", "tail.go", `le.Uint64(b) == generation && `, ``).
			survives("the superblock of an opening has the sequence that the last one reached, and a tail counts only where it has a later one"),
		one("older slot of the tail", "the second slot wins, and not the newer one", "tail.go", `ok && at.sequence > best.sequence {`, `ok {`).
			survives("where they differ, the checkpoint has not ended: what is behind the older one is still there, and replaying it again changes nothing"),
		one("tail not moved", "the tail in memory stays where it was", "tail.go", `	p.tail = p.head
`, ``),
		one("checkpointed early", "R2: others are told of a checkpoint before it is durable", "tail.go",
			`func (p *Pool) moveTail() error {`, `func (p *Pool) moveTail() error {
	p.checkpointed.Store(p.head.sequence)`).later(),
		one("checkpoint skipped", "R5: a checkpoint does nothing", "tail.go", `if p.tail == p.head {`, `if true {`),
	}
}

package mutation

// commitMutants break how transactions keep out of each other's way, and what goes past the log.
func commitMutants() []Mutant {
	const appendRecord = `	if err := tx.p.append(c); err != nil {`
	const valid = `	if !tx.valid() {
		return tx.conflicted()
	}
`
	all := []Mutant{
		one("no locks", "a committer takes no stripes", "commit.go", `	tx.lockAll()
`, ``),
		one("no validation", "what was read is not looked at again at the commit", "commit.go", valid, ``),
		one("validation before the locks", "what was read is looked at before the stripes are taken", "commit.go",
			`	tx.lockAll()
	sequence := uint64(0)
	defer func() { tx.unlockAll(sequence) }()
`+valid, valid+`	tx.lockAll()
	sequence := uint64(0)
	defer func() { tx.unlockAll(sequence) }()
`),
		one("stripes released early", "R6: stripes are released before the record is durable", "commit.go", appendRecord, `	tx.unlockAll(0)
`+appendRecord),
		one("version not raised", "R6: a stripe keeps its version when what it is for changed", "commit.go", `version = sequence << 1`, `_ = version`),
		one("version raised without a commit", "a transaction that failed raises the versions", "commit.go", `if sequence > 0 {`, `if version += 2; sequence > 0 {`),
		one("stripes in any order", "committers take stripes in the order of their edits", "commit.go",
			`	i := len(tx.locks)
	for i > 0 && tx.locks[i-1].stripe > stripe {
		i--
	}
	if i > 0 && tx.locks[i-1].stripe == stripe {
		return
	}`, `	i := len(tx.locks)
	for _, l := range tx.locks {
		if l.stripe == stripe {
			return
		}
	}`),
		one("gate ignored", "who runs alone does not", "commit.go", `	if !tx.alone {
		if err := tx.p.gate.pass(); err != nil {
			return err
		}
	}
`, ``),
		one("gate for itself", "a transaction within one that runs alone waits for it", "gate.go", `	if g.owner.Load() == goroutine() {
		return ErrNested
	}
	g.lock`, `	g.lock`),
		one("gate for itself again", "a transaction within one that runs alone waits to run alone", "gate.go", `	if g.owner.Load() == me {
		return ErrNested
	}
`, ``),
		one("gate not taken", "after many conflicts a transaction does not run alone", "update.go", `if i == attempts && !tx.alone {`, `if false {`),
		one("conflict ignored", "a function that hides a conflict is committed", "update.go", `	if tx.conflict {
		return errConflict
	}
`, ``),
		one("half done is committed", "a change that failed half way is committed, if the function hides the error", "update.go",
			`err = tx.failed`, `_ = tx.failed`),
		one("hooks left out", "OnApply is not called", "commit.go", `	tx.runHooks()
`, ``),
		one("settle before commit", "space is free to others before the record that frees it is durable", "commit.go",
			appendRecord, `	tx.settle(tx.p.applied.Load() + 1)
`+appendRecord),
		one("settle left out", "the heap is not told what a transaction took and freed", "commit.go", `	tx.settle(c.sequence)
`, ``),
		one("space given back too early", "space of a transaction whose outcome is unknown is given to others", "commit.go",
			`tx.taken = errors.Is(err, ErrOutcomeUnknown)`, `tx.taken = errors.Is(err, ErrOutcomeUnknown) && false`).
			survives("the pool takes no changes any more: nobody gets the space"),
		one("space not given back", "space of a transaction that was not committed is lost until the pool is opened again", "update.go", `			tx.giveBack()
`, ``),
		one("space given back twice", "space of a committed transaction is given to others", "update.go", `if !tx.taken {`, `if tx.taken || true {`),
		one("direct writes left out", "an object is not written past the log", "edit.go",
			`tx.p.stripes.past(e.off+freeHeader, rest)`, `error(nil)`),
		one("direct writes not durable", "R3: a record is durable before the object that was written past the log", "edit.go",
			`return tx.p.persistDirect(direct)`, `return nil`),
		{Name: "direct writes after the record", Breaks: "R3: an object past the log is written when its record is durable", Edits: []Edit{
			{"edit.go", `			extent, err := tx.writeDirect(e)
			if err != nil {
				return err
			}
			direct = append(direct, extent)
`, `			copy(e.image[0:], e.image)
`},
			{"commit.go", `	// R6: durable, and in place. Others may see it when the stripes are released: as what it is, also
`, `	for i := range tx.edits {
		if e := &tx.edits[i]; e.kind == editDirect {
			if extent, err := tx.writeDirect(e); err != nil || tx.p.persistDirect([]medium.Extent{extent}) != nil {
				return err
			}
		}
	}
`},
			{"commit.go", `import (
`, `import (
	"github.com/safevma/safevma/pmem/medium"
`},
		}},
		one("direct header early", "R1: the header of an object past the log is there before the record", "edit.go",
			`return medium.Extent{Off: e.off + freeHeader, Len: int64(len(rest))}, tx.p.stripes.past(e.off+freeHeader, rest)`,
			`_ = rest
	return medium.Extent{Off: e.off, Len: int64(len(e.image))}, tx.p.stripes.past(e.off, e.image)`),
		one("lock lets two in", "two committers have a stripe", "stripe.go", `if s.words[i].CompareAndSwap(v, v|stripeHeld) {`,
			`if s.words[i].Store(v | stripeHeld); true {`),
		one("close does not wait", "Close unmaps what transactions are reading", "pool.go", `	p.m.Await(func() bool { return p.active.Load() == 0 })
`, ``),
	}
	for i := range all {
		all[i].Later = all[i].Edits[0].File != "edit.go"
	}
	return all
}

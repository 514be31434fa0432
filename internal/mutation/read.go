package mutation

// readMutants break how a transaction sees one state of the pool.
func readMutants() []Mutant {
	all := []Mutant{
		one("no second look", "the version of a stripe is not looked at again after the copy (the seqlock)", "read.go",
			`return tx.p.stripes.words[stripe].Load() == version`, `return version|1 != 0`),
		one("no wait for a committer", "what a committer holds is read at once", "read.go",
			`v := tx.p.stripes.await(stripe)`, `v := tx.p.stripes.words[stripe].Load()`),
		one("later versions read", "what was changed after the transaction began is read", "read.go", `if v>>1 > tx.seen && !tx.extend() {`, `if false {`),
		one("extend without validation", "a transaction sees a later state, and what it read is not looked at again", "tx.go", `	now := tx.p.applied.Load()
	if !tx.valid() {
		return false
	}
`, `	now := tx.p.applied.Load()
`),
		one("clock after validation", "a transaction sees a later state than the one in which it was validated", "tx.go", `	now := tx.p.applied.Load()
	if !tx.valid() {
		return false
	}
`, `	if !tx.valid() {
		return false
	}
	now := tx.p.applied.Load()
`),
		one("reads not remembered", "what was read is not validated", "read.go", `		tx.reads = append(tx.reads, stripe)
`, ``),
		one("held stripes are valid", "what another committer is about to change is valid", "tx.go", `			if own == nil {
				return false
			}
			v = own.version
`, `			if own == nil {
				continue
			}
			v = own.version
`),
		one("own stripes are not valid", "a transaction conflicts with itself", "tx.go", `			own := tx.held(stripe)
`, `			own := (*lock)(nil)
`),
		one("class of the span", "an error counts although the span changed its class meanwhile", "read.go", ` || tx.p.heap.loaded(o.s.index) != o.s {`, ` {`),
		one("nowhere without a look", "a reference into a span that changed is stale, and not a conflict", "read.go",
			`		return tx.nowhere(o.stripe, err)`, `		return err`),
		one("spans freed meanwhile", "who frees a big object that another one has freed sees damage", "alloc.go",
			`		if err != nil && tx.p.heap.loaded(at.s.index) != at.s { // somebody else has freed it
			return tx.conflicted()
		}
`, ``),
		one("table read without a second look", "an entry of a table is read while it changes", "registry.go", `	if !tx.done(stripe, version) {
		return tx.conflicted()
	}
	return err`, `	tx.done(stripe, version)
	return err`),
		one("loans ignored", "what is lent is overwritten when it was freed", "settle.go", `if f.immutable && h.loans.older(sequence) {`, `if false {`),
		one("loan ends too early", "what is lent is freed when any loan ends", "settle.go", `		if seen < sequence {
			return true
		}
`, `		_ = seen
`),
	}
	for i := range all {
		all[i].Later = true
	}
	return all
}

package line

type variant struct {
	name   string
	choose func() (restore func())
}

// variants are the instructions that this CPU has.
func variants() []variant {
	var all []variant
	add := func(name string, number uint8, pairs bool) {
		all = append(all, variant{name, func() func() {
			oldHow, oldWide := how, wide
			how, wide = number, pairs
			return func() { how, wide = oldHow, oldWide }
		}})
	}
	if best() == howCLWB {
		add("clwb", howCLWB, wide)
	}
	if best() <= howCLFLUSHOPT {
		add("clflushopt", howCLFLUSHOPT, wide)
	}
	add("clflush", howCLFLUSH, wide)
	add("words", best(), false)
	return all
}

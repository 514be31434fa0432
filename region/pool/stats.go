package pool

// Stats are how much of a pool is used.
type Stats struct {
	Arenas    int   // regions, of one VMA each beside their guards
	Bytes     int   // of all arenas
	FreePages int   // of 4096 bytes, that no class of sizes has
	Secrets   int64 // that there are now
	Withdrawn int64 // slots that were written while they were free, or had 2^48 secrets
}

// Stats returns how much is used. Secrets are counted, slot by slot.
func (p *Pool) Stats() Stats {
	s := Stats{Arenas: len(*p.arenas.Load()), Withdrawn: p.withdrawn.Load()}
	p.eachSlot(func(slot *slot) {
		if slot.state.Load()&kindMask == live {
			s.Secrets++
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Bytes, s.FreePages = p.bytes, len(p.spare)
	return s
}

package probe

import "github.com/safevma/safevma/internal/sys"

// stackPages is the room in which a stack can grow, in pages.
const stackPages = 1024

// stack is a place in the address space at which forked children make one that grows. The
// child is one thread: nobody maps anything there meanwhile.
type stack struct{ room []byte }

func (t *trial) stack() *stack {
	return &stack{t.mapped(stackPages, sys.ProtNone, private, nil)}
}

// below is the address so many pages below the stack's one page.
func (s *stack) below(pages int) uintptr {
	return uintptr(sys.Addr(s.room)) + uintptr((stackPages-1-pages)*pageSize)
}

// make unmaps the room and maps a stack of one page at its end.
func (s *stack) make() []sys.RawCall {
	return []sys.RawCall{
		{Number: sys.CallMunmap, Args: [6]uintptr{uintptr(sys.Addr(s.room)), uintptr(len(s.room))}},
		s.mapBelow(0, rw, sys.MapGrowsdown),
	}
}

func (s *stack) mapBelow(pages, prot, flags int) sys.RawCall {
	return sys.RawCall{Number: sys.CallMmap, Args: [6]uintptr{s.below(pages), uintptr(pageSize), uintptr(prot),
		uintptr(flags | private | sys.MapAnonymous | sys.MapFixed), ^uintptr(0)}}
}

func (s *stack) storeBelow(pages int) sys.RawCall {
	return sys.RawCall{Number: sys.CallStore, Args: [6]uintptr{s.below(pages), 1}}
}

// stackGap is about what stops a stack before it runs into other memory.
func stackGap() Probe {
	type neighbour struct{ below, prot int }
	return Probe{
		ID: "kd-stack-gap", Source: "Documentation/admin-guide/kernel-parameters.txt, stack_guard_gap", Requirement: "SV-KCT-02",
		Claim:      "the kernel keeps a gap between a growing stack and accessible memory below it",
		Experiment: "a store just below a mapping with MAP_GROWSDOWN, in a forked child, with writable memory 16 pages below",
		Control:    "writable memory 1000 pages below; inaccessible memory 16 pages below",
		Oracle:     "SIGSEGV: confirmed; ok: refuted",
		run: func(t *trial) {
			s := t.stack()
			compare(t, experiment[neighbour]{try: "store just below a stack", do: func(n neighbour) Answer {
				return t.childCalls(append(s.make(), s.mapBelow(n.below, n.prot, 0), s.storeBelow(1))...)
			},
				on: "writable memory 16 pages below", subject: neighbour{16, rw}, confirms: []Answer{segv}, refutes: []Answer{OK},
				controls: []control[neighbour]{{"writable memory 1000 pages below", neighbour{1000, rw}, OK},
					{"inaccessible memory 16 pages below", neighbour{16, sys.ProtNone}, OK}}})
		},
	}
}

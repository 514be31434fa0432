package state

import "slices"

// The independent enumerator: it lets persists happen one by one, in all interleavings
// with the program, as the operational reading of the model has it. It knows nothing of
// queues, prefixes or products: it has stores of a word, which of them must persist before
// which, and fences that wait.

type persist struct {
	off    int64
	data   []byte
	before []int // the stores that must persist before this one
	at     int   // its place in the program
}

type program struct {
	model    Model
	initial  []byte
	events   []Event
	persists []persist
	first    []int           // event: the first of its persists
	waits    map[int][]int   // event: persists that must be durable before it can go on
	doubtful map[int][]int   // event: persists of which, after it, none can persist any more
	seen     map[string]bool // program counter and what persisted
	images   []map[string]bool
}

// bruteForce returns for each number of events executed which images a failure may leave.
func bruteForce(model Model, initial []byte, events []Event) []map[string]bool {
	p := &program{model: model, initial: initial, events: events, waits: map[int][]int{}, doubtful: map[int][]int{}, seen: map[string]bool{}}
	p.split()
	p.order()
	p.fences()
	for range len(events) + 1 {
		p.images = append(p.images, map[string]bool{})
	}
	p.step(0, make([]byte, len(p.persists)))
	return p.images
}

func (p *program) split() {
	for i, e := range p.events {
		p.first = append(p.first, len(p.persists))
		if e.Kind != Store && e.Kind != Stream {
			continue
		}
		for from := 0; from < len(e.Data); {
			to := from + 1
			for to < len(e.Data) && (e.Off+int64(to))%8 != 0 {
				to++
			}
			p.persists = append(p.persists, persist{off: e.Off + int64(from), data: e.Data[from:to], at: i})
			from = to
		}
	}
	p.first = append(p.first, len(p.persists))
}

func (p *program) order() {
	for j := range p.persists {
		for i := range j {
			a, b := p.persists[i], p.persists[j]
			grain := int64(p.model.Unit)
			if p.streams(a) || p.streams(b) || p.model.Torn {
				grain = 8
			}
			if a.off/grain == b.off/grain {
				p.persists[j].before = append(p.persists[j].before, i)
			}
		}
	}
}

func (p *program) streams(a persist) bool {
	return p.events[a.at].Kind == Stream && p.model.Domain != PageCache
}

// fences finds what each fence and each sync waits for.
func (p *program) fences() {
	for i, e := range p.events {
		switch {
		case e.Kind == Fence && p.model.Domain != PageCache:
			for j, a := range p.persists {
				if a.at < i && p.fenced(a, i) {
					p.waits[i] = append(p.waits[i], j)
				}
			}
		case e.Kind == SyncEnd || e.Kind == SyncFail:
			begin := slices.IndexFunc(p.events, func(b Event) bool { return b.Kind == SyncBegin && b.ID == e.ID })
			for j, a := range p.persists {
				if a.at < begin && p.touches(p.events[begin], a.off) {
					if e.Kind == SyncEnd {
						p.waits[i] = append(p.waits[i], j)
					} else {
						p.doubtful[i] = append(p.doubtful[i], j)
					}
				}
			}
		}
	}
}

// fenced: the fence at i waits for a, since its thread streamed it or flushed its line.
func (p *program) fenced(a persist, i int) bool {
	if p.streams(a) {
		return p.events[a.at].Thread == p.events[i].Thread
	}
	for j := a.at + 1; j < i; j++ {
		if e := p.events[j]; e.Kind == Flush && e.Thread == p.events[i].Thread && p.touches(e, a.off) {
			return true
		}
	}
	return false
}

func (p *program) touches(e Event, off int64) bool {
	unit := int64(p.model.Unit)
	return e.Len > 0 && e.Off/unit <= off/unit && (e.Off+e.Len-1)/unit >= off/unit
}

const (
	waiting = iota
	durable
	gone // lost for ever
)

// step explores everything that can happen next: pc events were executed, and fate says
// what became of each persist.
func (p *program) step(pc int, fate []byte) {
	key := string(rune(pc)) + string(fate)
	if p.seen[key] {
		return
	}
	p.seen[key] = true
	p.images[pc][string(p.image(fate))] = true
	for j := range p.persists[:p.first[pc]] {
		if p.ready(j, fate) {
			p.step(pc, with(fate, j, durable))
		}
	}
	if pc == len(p.events) || slices.ContainsFunc(p.waits[pc], func(j int) bool { return fate[j] == waiting }) {
		return
	}
	next := slices.Clone(fate)
	for _, j := range p.doubtful[pc] {
		if next[j] == waiting {
			next[j] = gone
		}
	}
	for j := p.first[pc]; j < p.first[pc+1]; j++ {
		if p.atOnce(p.persists[j]) {
			next[j] = durable
		}
	}
	p.step(pc+1, next)
}

// atOnce: what is stored survives, without more.
func (p *program) atOnce(a persist) bool {
	return p.model.Domain == Kill || p.model.Domain == EADR && !p.streams(a)
}

func (p *program) ready(j int, fate []byte) bool {
	return fate[j] == waiting && !slices.ContainsFunc(p.persists[j].before, func(i int) bool { return fate[i] == waiting })
}

func with(fate []byte, j int, f byte) []byte {
	fate = slices.Clone(fate)
	fate[j] = f
	return fate
}

func (p *program) image(fate []byte) []byte {
	image := slices.Clone(p.initial)
	for j, a := range p.persists {
		if fate[j] == durable {
			copy(image[a.off:], a.data)
		}
	}
	return image
}

package history

import "slices"

// search is the room that searches for paths share.
type search struct {
	spent    int     // edges looked at in the whole check
	budget   int     // edges that may still be looked at for this cycle
	round    int32   // of this search: what another one left is stale
	seen     []int32 // round in which a node was reached
	distance []int32
	via      []int32 // the edge by which it was reached
	now      []int32
	later    []int32
}

// What bounds the search for one cycle, and for all of them, in edges. A cycle is always
// found, within one pass over its component; what is left goes into finding a shorter one.
const (
	oneBudget = 5_000_000
	allBudget = 50_000_000
)

// shortest returns the shortest cycle in a component that has one edge with a reason of
// through and goes on along edges of the others: as far as the budget goes, so in a
// component of a few thousand transactions the shortest there is. It returns edge numbers.
func (g *graph) shortest(group, of []int32, through, others Reason) []int32 {
	var best []int32
	g.search.budget = min(oneBudget, allBudget-g.search.spent)
	defer func(before int) { g.search.spent += before - g.search.budget }(g.search.budget)
	limit := int32(len(group) + 1)
	for _, n := range group {
		for i := g.first[n]; i < g.first[n+1]; i++ {
			e := g.edges[i]
			if e.reason&through == 0 || of[e.to] != of[n] {
				continue
			}
			if path, ok := g.path(e.to, n, of, others, limit); ok {
				best = append([]int32{i}, path...)
				limit = g.search.distance[n]
			}
			if limit <= 1 || g.search.budget <= 0 && (best != nil || through == ReadWrite && others&ReadWrite == 0) {
				return best
			}
		}
	}
	return best
}

// path finds the shortest path within a component, of less than limit edges. Only edges
// that leave transactions count: those that leave helpers are free.
func (g *graph) path(from, to int32, of []int32, reasons Reason, limit int32) ([]int32, bool) {
	s := &g.search
	s.begin(g.nodes)
	s.reach(from, 0, -1)
	s.now = append(s.now[:0], from)
	for depth := int32(0); len(s.now) > 0 && depth < limit; depth++ {
		s.later = s.later[:0]
		for i := 0; i < len(s.now); i++ { // it grows
			n := s.now[i]
			if s.distance[n] != depth {
				continue // reached by a shorter way meanwhile
			}
			if n == to {
				return g.trace(from, to), true
			}
			g.expand(n, of, reasons|onward)
		}
		s.now, s.later = s.later, s.now
	}
	return nil, false
}

func (g *graph) expand(n int32, of []int32, reasons Reason) {
	s := &g.search
	free := int(n) >= g.transactions
	s.budget -= int(g.first[n+1] - g.first[n])
	for i := g.first[n]; i < g.first[n+1]; i++ {
		e := &g.edges[i]
		if e.reason&reasons == 0 || of[e.to] != of[n] {
			continue
		}
		switch {
		case free && s.reach(e.to, s.distance[n], i):
			s.now = append(s.now, e.to)
		case !free && s.reach(e.to, s.distance[n]+1, i):
			s.later = append(s.later, e.to)
		}
	}
}

func (g *graph) trace(from, to int32) []int32 {
	var path []int32
	for n := to; n != from; {
		i := g.search.via[n]
		path = append(path, i)
		n = g.edges[i].from
	}
	slices.Reverse(path)
	return path
}

func (s *search) begin(nodes int) {
	if s.seen == nil {
		s.seen, s.distance, s.via = make([]int32, nodes), make([]int32, nodes), make([]int32, nodes)
	}
	s.round++
}

// reach notes that a node was reached, and says whether by a shorter way than before.
func (s *search) reach(n, distance, via int32) bool {
	if s.seen[n] == s.round && s.distance[n] <= distance {
		return false
	}
	s.seen[n], s.distance[n], s.via[n] = s.round, distance, via
	return true
}

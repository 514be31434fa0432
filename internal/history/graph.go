package history

// Reason says why one transaction must come before another.
type Reason uint8

// The edges of the graph. They are bits, so that a search can name several.
const (
	WriteWrite Reason = 1 << iota // the second overwrote what the first wrote
	WriteRead                     // the second read what the first wrote
	ReadWrite                     // the second overwrote what the first read
	RealTime                      // the first ended before the second began
	onward                        // from a helper node: the reason is that of the edge into it
)

// edge goes from a node to a node that must come later.
type edge struct {
	from, to int32
	version  int32 // what was overwritten or read; -1 for real time
	reason   Reason
}

// graph has transactions as its first nodes and helpers after them. A helper stands for
// "all on this side come before all on that side" and keeps the graph linear in size: for
// real time they are a chain, each the end of a transaction.
type graph struct {
	transactions int
	nodes        int
	edges        []edge  // sorted by from once it is complete
	first        []int32 // first[n]:first[n+1] are the edges from node n
	search       search
}

func (g *graph) add(from, to, version int32, reason Reason) {
	if from != to {
		g.edges = append(g.edges, edge{from, to, version, reason})
	}
}

// helper adds a node that is no transaction.
func (g *graph) helper() int32 {
	g.nodes++
	return int32(g.nodes - 1)
}

// complete sorts the edges by the node from which they go.
func (g *graph) complete() {
	g.first = make([]int32, g.nodes+2)
	for _, e := range g.edges {
		g.first[e.from+2]++
	}
	for n := 2; n < len(g.first); n++ {
		g.first[n] += g.first[n-1]
	}
	sorted := make([]edge, len(g.edges))
	for _, e := range g.edges {
		sorted[g.first[e.from+1]] = e
		g.first[e.from+1]++
	}
	g.edges, g.first = sorted, g.first[:g.nodes+1]
}

// components finds the strongly connected components of more than one node, along edges
// with one of the reasons. of[n] is the number of n's component, -1 where it is alone.
// It is Tarjan's algorithm with a stack of its own in place of recursion.
func (g *graph) components(reasons Reason) (groups [][]int32, of []int32) {
	t := tarjan{g: g, reasons: reasons | onward, of: make([]int32, g.nodes), index: make([]int32, g.nodes),
		low: make([]int32, g.nodes), next: make([]int32, g.nodes)}
	for n := range t.of {
		t.of[n] = -1
		t.next[n] = g.first[n]
	}
	for n := range int32(g.nodes) {
		if t.index[n] == 0 {
			t.visit(n)
		}
	}
	return t.groups, t.of
}

type tarjan struct {
	g       *graph
	reasons Reason
	count   int32
	index   []int32 // when a node was found, from 1; done once it left the stack
	low     []int32 // the earliest node on the stack that it reaches
	next    []int32 // the edge to look at next
	path    []int32 // from the root to the node at hand
	stack   []int32 // nodes whose component is not known yet
	groups  [][]int32
	of      []int32
}

// done is above every index.
const done = 1<<31 - 1

func (t *tarjan) visit(root int32) {
	t.enter(root)
	for len(t.path) > 0 {
		n := t.path[len(t.path)-1]
		if t.next[n] == t.g.first[n+1] {
			t.leave(n)
			continue
		}
		e := t.g.edges[t.next[n]]
		t.next[n]++
		switch {
		case e.reason&t.reasons == 0:
		case t.index[e.to] == 0:
			t.enter(e.to)
		default:
			t.low[n] = min(t.low[n], t.index[e.to])
		}
	}
}

func (t *tarjan) enter(n int32) {
	t.count++
	t.index[n], t.low[n] = t.count, t.count
	t.path, t.stack = append(t.path, n), append(t.stack, n)
}

func (t *tarjan) leave(n int32) {
	t.path = t.path[:len(t.path)-1]
	if len(t.path) > 0 {
		above := t.path[len(t.path)-1]
		t.low[above] = min(t.low[above], t.low[n])
	}
	if t.low[n] != t.index[n] {
		return
	}
	from := len(t.stack) - 1
	for t.stack[from] != n {
		from--
	}
	group := t.stack[from:]
	t.stack = t.stack[:from]
	for _, m := range group {
		t.index[m] = done
		if len(group) > 1 {
			t.of[m] = int32(len(t.groups))
		}
	}
	if len(group) > 1 {
		t.groups = append(t.groups, append([]int32(nil), group...))
	}
}

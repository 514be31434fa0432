package history

// Anomaly is a way not to be strictly serialisable. The names are Adya's where he has one.
type Anomaly uint8

// The first ones are in one or two reads, the others are cycles. A group of transactions
// that form a cycle is reported as the first of these that it is.
const (
	Internal         Anomaly = iota // a transaction does not see its own writes, or sees them too early
	Phantom                         // a value that nobody wrote there, or twice in one list
	AbortedRead                     // G1a: what an aborted transaction wrote
	IntermediateRead                // G1b: what its writer wrote again before its end
	Incompatible                    // no order of a list explains two reads of it, or one and its writer
	LostUpdate                      // two read one version and both wrote the key
	DirtyWrite                      // G0: a cycle of overwrites
	CircularFlow                    // G1c: a cycle of overwrites and reads
	ReadSkew                        // G-single: a cycle where one missed a write that it should have seen
	WriteSkew                       // G2: a cycle where several missed a write, as each other's
	NotRealTime                     // serialisable, but not in an order that keeps real time
)

var anomalies = [...]string{
	Internal:         "internal inconsistency",
	Phantom:          "read of a value that was never written",
	AbortedRead:      "aborted read (G1a)",
	IntermediateRead: "intermediate read (G1b)",
	Incompatible:     "incompatible orders of a list",
	LostUpdate:       "lost update",
	DirtyWrite:       "dirty write (G0)",
	CircularFlow:     "circular information flow (G1c)",
	ReadSkew:         "read skew (G-single)",
	WriteSkew:        "write skew (G2)",
	NotRealTime:      "real-time violation",
}

func (a Anomaly) String() string { return anomalies[min(a, NotRealTime)] }

// levels are the kinds of cycles, from those that the weakest isolation forbids on: each
// has one edge of through, and the others are of the reasons of others.
var levels = []struct {
	anomaly         Anomaly
	through, others Reason
}{
	{DirtyWrite, WriteWrite, WriteWrite},
	{CircularFlow, WriteRead, WriteWrite | WriteRead},
	{ReadSkew, ReadWrite, WriteWrite | WriteRead},
	{WriteSkew, ReadWrite, WriteWrite | WriteRead | ReadWrite},
	{NotRealTime, RealTime, WriteWrite | WriteRead | ReadWrite | RealTime},
}

// cycles looks for cycles, and names each group of transactions that form one by the
// first level at which they do.
func (c *checker) cycles() {
	g := &c.graph
	g.complete()
	c.report.Edges = len(g.edges)
	if groups, _ := g.components(WriteWrite | WriteRead | ReadWrite | RealTime); len(groups) == 0 {
		return
	}
	named := make([]bool, g.nodes)
	for _, level := range levels {
		groups, of := g.components(level.through | level.others)
		for _, group := range groups {
			if anyNamed(group, named) {
				continue
			}
			cycle := g.shortest(group, of, level.through, level.others)
			if cycle == nil {
				continue
			}
			c.name(level.anomaly, c.steps(cycle))
			for _, n := range group {
				named[n] = true
			}
		}
	}
}

// name reports a cycle. Where the search for a read skew ran out of budget, one may be found
// as a shortest write skew.
func (c *checker) name(a Anomaly, cycle []edge) {
	missed := 0
	for _, e := range cycle {
		if e.reason == ReadWrite {
			missed++
		}
	}
	if a == WriteSkew && missed == 1 {
		a = ReadSkew
	}
	c.findCycle(a, cycle)
}

func anyNamed(group []int32, named []bool) bool {
	for _, n := range group {
		if named[n] {
			return true
		}
	}
	return false
}

// steps joins the edges of a cycle that lead through helpers, so that each goes from a
// transaction to a transaction. The first edge leaves a transaction.
func (c *checker) steps(cycle []int32) []edge {
	var steps []edge
	for _, i := range cycle {
		if e := c.graph.edges[i]; int(e.from) < c.graph.transactions {
			steps = append(steps, e)
		} else {
			steps[len(steps)-1].to = e.to
		}
	}
	return steps
}

package history

import "fmt"

// Options of Check.
type Options struct {
	// Attempts asks that what aborted transactions read be consistent too (opacity): each
	// of them saw a state that was between its begin and its end. Code that runs in a
	// transaction may rely on it.
	Attempts bool
	// Details bounds how many findings of one kind a report describes; all are counted.
	// 0 is 4.
	Details int
}

// Check says whether a history is strictly serialisable. It returns an error where it
// cannot say: a value written twice, a register written by a transaction that did not
// read it first, a key that is both register and list, an end before its begin.
func Check(h History, o Options) (*Report, error) {
	if o.Details == 0 {
		o.Details = 4
	}
	c := &checker{history: h, options: o, behind: map[[2]int32]bool{},
		report: &Report{history: h, Counts: map[Anomaly]int{}}}
	c.graph.transactions, c.graph.nodes = len(h), len(h)
	if err := c.index(); err != nil {
		return nil, err
	}
	c.revive()
	c.count()
	for t := range h {
		if c.observer[t] {
			c.transaction(int32(t))
		}
	}
	c.lists()
	c.overwrites()
	c.realTime()
	c.cycles()
	return c.report, nil
}

type checker struct {
	history  History
	options  Options
	report   *Report
	graph    graph
	keys     map[uint64]*key
	order    []*key           // as they came: reports do not depend on the order of a map
	versions []version        // what was written, and what each register and list began with
	values   map[uint64]int32 // the version of a value
	live     []bool           // transactions that count as committed
	observer []bool           // transactions whose reads must be explained
	reads    []read
	behind   map[[2]int32]bool // a transaction, and the helper node that stands before it: see tail
	accesses []access          // of the transaction at hand
}

// version is what a key held from one write to the next.
type version struct {
	key    uint64
	value  uint64
	writer int32 // -1 for what the key began with
	next   int32 // the transaction that overwrote it, -1 where none is known
	claim  int32 // the first transaction that read it and then wrote the key
	place  int32 // in a list: how many values there are up to this one; 0 where unknown
	last   bool  // no later write of the same key by its writer
}

// read says that a transaction saw a version that another one wrote.
type read struct{ version, by int32 }

// key is a register or a list.
type key struct {
	number  uint64
	list    bool
	initial int32 // version
	views   []view
}

// access is what one transaction did with one key so far.
type access struct {
	key   *key
	seen  bool
	wrote bool
	saw   int32    // the version that it read last before it wrote; -1 where none counts
	own   int32    // the version that it wrote last
	list  []uint64 // of a list: what others had written
	added []uint64 // of a list: what it appended
}

// access returns what the transaction at hand did with a key.
func (c *checker) access(number uint64) *access {
	for i := range c.accesses {
		if c.accesses[i].key.number == number {
			return &c.accesses[i]
		}
	}
	c.accesses = append(c.accesses, access{key: c.keys[number], saw: -1, own: -1})
	return &c.accesses[len(c.accesses)-1]
}

// index notes all keys and all writes.
func (c *checker) index() error {
	c.keys, c.values = map[uint64]*key{}, make(map[uint64]int32, len(c.history))
	for t := range c.history {
		if c.history[t].End < c.history[t].Begin {
			return fmt.Errorf("transaction T%d ends before it begins", t)
		}
		c.accesses = c.accesses[:0]
		for i := range c.history[t].Ops {
			if err := c.note(int32(t), &c.history[t].Ops[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) note(t int32, op *Op) error {
	k, list := c.keys[op.Key], op.Kind == ReadList || op.Kind == Append
	if k == nil {
		k = &key{number: op.Key, list: list, initial: int32(len(c.versions))}
		c.keys[op.Key], c.order = k, append(c.order, k)
		c.versions = append(c.versions, version{key: op.Key, writer: -1, next: -1, claim: -1, last: true})
	}
	if k.list != list {
		return fmt.Errorf("key %d is used as a register and as a list, in T%d as the other one", op.Key, t)
	}
	a := c.access(op.Key)
	switch op.Kind {
	case Read:
		a.seen = true
	case Write, Append:
		if op.Kind == Write && !a.seen {
			return fmt.Errorf("transaction T%d writes key %d and did not read it before: what it overwrote is not known", t, op.Key)
		}
		return c.noteWrite(t, op, a)
	}
	return nil
}

func (c *checker) noteWrite(t int32, op *Op, a *access) error {
	if _, twice := c.values[op.Value]; twice || op.Value == 0 {
		return fmt.Errorf("transaction T%d writes %s to key %d: each write needs a value of its own, not 0", t, word(op.Value), op.Key)
	}
	if a.own >= 0 {
		c.versions[a.own].last = false
	}
	a.own = int32(len(c.versions))
	c.values[op.Value] = a.own
	c.versions = append(c.versions, version{key: op.Key, value: op.Value, writer: t, next: -1, claim: -1, last: true})
	return nil
}

// revive finds the transactions that count as committed: of those whose outcome is
// unknown the ones that were seen, by one that counts itself.
func (c *checker) revive() {
	c.live, c.observer = make([]bool, len(c.history)), make([]bool, len(c.history))
	var queue []int32
	unknown := false
	for t := range c.history {
		outcome := c.history[t].Outcome
		c.live[t] = outcome == Committed
		c.observer[t] = c.live[t] || outcome == Aborted && c.options.Attempts
		unknown = unknown || outcome == Unknown
		if c.observer[t] {
			queue = append(queue, int32(t))
		}
	}
	for ; unknown && len(queue) > 0; queue = queue[1:] {
		c.saw(queue[0], func(value uint64) {
			v, written := c.values[value]
			if !written || c.live[c.versions[v].writer] {
				return
			}
			if w := c.versions[v].writer; c.history[w].Outcome == Unknown {
				c.live[w], c.observer[w] = true, true
				queue = append(queue, w)
			}
		})
	}
}

// saw calls f with each value that a transaction read.
func (c *checker) saw(t int32, f func(value uint64)) {
	for i := range c.history[t].Ops {
		switch op := &c.history[t].Ops[i]; op.Kind {
		case Read:
			f(op.Value)
		case ReadList:
			for _, value := range op.List {
				f(value)
			}
		}
	}
}

// count fills in how many transactions there were.
func (c *checker) count() {
	for t := range c.history {
		c.report.Operations += len(c.history[t].Ops)
		switch c.history[t].Outcome {
		case Committed:
			c.report.Committed++
		case Aborted:
			c.report.Aborted++
		default:
			c.report.Unknown++
			if c.live[t] {
				c.report.Seen++
			}
		}
	}
}

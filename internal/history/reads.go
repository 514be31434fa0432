package history

import (
	"cmp"
	"slices"
)

// transaction explains what one transaction read, and notes what it overwrote.
func (c *checker) transaction(t int32) {
	c.accesses = c.accesses[:0]
	for i := range c.history[t].Ops {
		op := &c.history[t].Ops[i]
		a := c.access(op.Key)
		switch op.Kind {
		case Read:
			c.read(t, op, a)
		case Write:
			if !a.wrote && a.saw >= 0 && c.live[t] {
				c.overwrite(a.saw, t)
			}
			a.wrote, a.own = true, c.values[op.Value]
		case ReadList:
			c.readList(t, op, a)
		case Append:
			a.added = append(a.added, op.Value)
		}
	}
	for i := range c.accesses {
		if a := &c.accesses[i]; a.key.list && c.live[t] && len(a.added) > 0 {
			a.key.views = append(a.key.views, view{by: t, list: a.list, read: a.seen, added: a.added})
		}
	}
}

func (c *checker) read(t int32, op *Op, a *access) {
	if a.wrote {
		if op.Value != c.versions[a.own].value {
			c.find(Internal, []int32{t}, "T%d wrote %s to key %d, and then read %s there",
				t, word(c.versions[a.own].value), op.Key, word(op.Value))
		}
		return
	}
	v, ok := c.resolve(t, op.Key, op.Value)
	if !ok {
		return
	}
	a.saw = v
	c.observe(t, v)
}

// resolve finds the version of a value that t read, where there is one that counts.
func (c *checker) resolve(t int32, number, value uint64) (int32, bool) {
	if value == 0 && !c.keys[number].list {
		return c.keys[number].initial, true
	}
	v, written := c.values[value]
	if !written || c.versions[v].key != number {
		c.find(Phantom, []int32{t}, "T%d read %s at key %d, which nobody wrote there", t, word(value), number)
		return 0, false
	}
	switch w := c.versions[v].writer; {
	case w == t:
		c.find(Internal, []int32{t}, "T%d read %s at key %d before it wrote it", t, word(value), number)
		return 0, false
	case !c.live[w]:
		c.find(AbortedRead, []int32{t, w}, "T%d read %s at key %d, written by T%d, which aborted", t, word(value), number, w)
		return 0, false
	}
	return v, true
}

// observe notes that t read version v of another transaction, if that is what it left at
// its end.
func (c *checker) observe(t, v int32) {
	x := &c.versions[v]
	if !x.last {
		c.find(IntermediateRead, []int32{t, x.writer}, "T%d read %s at key %d, which T%d wrote and then wrote again before its end",
			t, word(x.value), x.key, x.writer)
		return
	}
	c.reads = append(c.reads, read{v, t})
	if x.writer >= 0 {
		c.graph.add(x.writer, t, v, WriteRead)
	}
}

// overwrite notes that t read version v of a register and then wrote it.
func (c *checker) overwrite(v, t int32) {
	c.claim(v, t)
	x := &c.versions[v]
	if x.next < 0 {
		x.next = t
	}
	if x.writer >= 0 {
		c.graph.add(x.writer, t, v, WriteWrite)
	}
}

// claim finds two transactions that read one version of a key and then both wrote it:
// neither saw what the other did. It says whether t is the first that did.
func (c *checker) claim(v, t int32) bool {
	x := &c.versions[v]
	if x.claim < 0 {
		x.claim = t
		return true
	}
	c.findCycle(LostUpdate, []edge{{x.claim, t, v, ReadWrite}, {t, x.claim, v, ReadWrite}})
	return false
}

func (c *checker) readList(t int32, op *Op, a *access) {
	others := len(op.List) - len(a.added)
	if others < 0 || !slices.Equal(op.List[others:], a.added) {
		c.find(Internal, []int32{t}, "T%d appended %s to key %d, and then read %s there: its own must come last",
			t, words(a.added), op.Key, words(op.List))
		return
	}
	list := op.List[:others:others]
	if a.seen && slices.Equal(a.list, list) {
		return
	}
	a.seen, a.list = true, list
	a.key.views = append(a.key.views, view{by: t, list: list, read: true})
}

// realTime adds an edge from each transaction that counts to each that began after its
// end, by a chain of helpers.
func (c *checker) realTime() {
	g := &c.graph
	var ended, began []int32
	for t := range c.history {
		if c.observer[t] {
			began = append(began, int32(t))
			if c.history[t].Outcome != Unknown { // that may take effect at any later time
				ended = append(ended, int32(t))
			}
		}
	}
	slices.SortFunc(ended, func(a, b int32) int { return cmp.Compare(c.history[a].End, c.history[b].End) })
	slices.SortFunc(began, func(a, b int32) int { return cmp.Compare(c.history[a].Begin, c.history[b].Begin) })
	helper := int32(-1)
	for _, t := range began {
		for len(ended) > 0 && c.history[ended[0]].End < c.history[t].Begin {
			next := g.helper()
			if helper >= 0 {
				g.add(helper, next, -1, onward)
			}
			g.add(ended[0], next, -1, RealTime)
			helper, ended = next, ended[1:]
		}
		if helper >= 0 {
			g.add(helper, t, -1, onward)
		}
	}
}

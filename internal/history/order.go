package history

import "slices"

// view is what a transaction knew of a list: either a read, or all that it appended and
// what it had read before.
type view struct {
	by    int32
	read  bool     // list was read
	list  []uint64 // what others had appended
	added []uint64 // what the transaction appended
}

// lists finds the order of appends to each list, and what follows from it.
func (c *checker) lists() {
	for _, k := range c.order {
		if k.list {
			c.list(k)
		}
	}
}

func (c *checker) list(k *key) {
	order, by := longest(k.views)
	chain := c.chain(k, order, by)
	for i := range k.views {
		if w := &k.views[i]; w.added == nil {
			c.view(k, w, order, chain)
		}
	}
	unplaced := c.claims(k, order, chain)
	c.tail(chain[len(chain)-1], unplaced)
}

// longest returns the longest list that was read, and behind it what one transaction
// appended that had read all of it: nothing can stand between.
func longest(views []view) (order []uint64, by int32) {
	by = -1
	for i := range views {
		if w := &views[i]; w.added == nil && len(w.list) > len(order) {
			order, by = w.list, w.by
		}
	}
	for i := range views {
		if w := &views[i]; w.added != nil && w.read && slices.Equal(w.list, order) {
			return slices.Concat(order, w.added), by
		}
	}
	return order, by
}

// chain gives the versions of a list their places. At index n is the version that is there
// after n appends; -1 is one that does not count.
func (c *checker) chain(k *key, order []uint64, by int32) []int32 {
	chain := make([]int32, 1, len(order)+1)
	chain[0] = k.initial
	before := k.initial
	for i, value := range order {
		v, ok := c.placed(k, value, by)
		if !ok {
			chain = append(chain, -1)
			continue
		}
		x, y := &c.versions[before], &c.versions[v]
		y.place = int32(i + 1)
		if x.writer == y.writer && v < before {
			c.find(Incompatible, []int32{by, x.writer}, "T%d read %s before %s at key %d, which T%d appended the other way round",
				by, word(x.value), word(value), k.number, x.writer)
		}
		if x.writer != y.writer {
			x.next = y.writer
			if x.writer >= 0 {
				c.graph.add(x.writer, y.writer, before, WriteWrite)
			}
		}
		chain = append(chain, v)
		before = v
	}
	return chain
}

// placed finds the version of a value in the longest list.
func (c *checker) placed(k *key, value uint64, by int32) (int32, bool) {
	v, ok := c.values[value]
	if !ok || c.versions[v].writer != by || c.versions[v].key != k.number { // not its own, behind what others had appended
		v, ok = c.resolve(by, k.number, value)
	}
	if !ok {
		return 0, false
	}
	if c.versions[v].place > 0 {
		c.find(Phantom, []int32{by}, "T%d read %s at key %d twice in one list", by, word(value), k.number)
		return 0, false
	}
	return v, true
}

// view explains one read of a list: it must be the first part of the longest one.
func (c *checker) view(k *key, w *view, order []uint64, chain []int32) {
	if len(w.list) > len(order) || !slices.Equal(w.list, order[:len(w.list)]) {
		c.diverged(k, w, order)
		return
	}
	v := chain[len(w.list)]
	switch {
	case v < 0: // reported when the order was made
	case c.versions[v].writer == w.by:
		c.resolve(w.by, k.number, c.versions[v].value) // too early
	default:
		c.observe(w.by, v)
	}
}

func (c *checker) diverged(k *key, w *view, order []uint64) {
	for _, value := range w.list {
		if _, ok := c.resolve(w.by, k.number, value); !ok {
			return
		}
	}
	c.find(Incompatible, []int32{w.by}, "T%d read %s at key %d, another one %s: neither is the beginning of the other",
		w.by, words(w.list), k.number, words(order))
}

// claims finds lost updates of a list. It returns the transactions of which nobody saw all
// appends, and which did not lose them: they come after all that was seen.
func (c *checker) claims(k *key, order []uint64, chain []int32) (unplaced []int32) {
	for i := range k.views {
		w := &k.views[i]
		if w.added == nil {
			continue
		}
		if n := len(w.list); w.read && n <= len(order) && slices.Equal(w.list, order[:n]) && chain[n] >= 0 && !c.claim(chain[n], w.by) {
			continue
		}
		if slices.ContainsFunc(w.added, func(value uint64) bool { return c.versions[c.values[value]].place == 0 }) {
			unplaced = append(unplaced, w.by)
		}
	}
	return unplaced
}

// tail puts those whose appends nobody saw after those who saw or wrote the last version.
func (c *checker) tail(v int32, unplaced []int32) {
	if v < 0 || len(unplaced) == 0 {
		return
	}
	helper := c.graph.helper()
	for _, t := range unplaced {
		c.graph.add(helper, t, -1, onward)
		c.behind[[2]int32{t, helper}] = true
	}
	if w := c.versions[v].writer; w >= 0 && !slices.Contains(unplaced, w) {
		c.graph.add(w, helper, v, WriteWrite)
	}
	c.versions[v].next = helper
}

// overwrites adds an edge from each reader of a version to who overwrote it.
func (c *checker) overwrites() {
	for _, r := range c.reads {
		if next := c.versions[r.version].next; next >= 0 && !c.behind[[2]int32{r.by, next}] {
			c.graph.add(r.by, next, r.version, ReadWrite)
		}
	}
}

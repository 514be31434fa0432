package state

import (
	"hash/maphash"
	"math/big"
	"slices"
	"sort"
)

// Census counts the images of all crash points, each once, without making them.
//
// The images of one crash point are a box: a product, over the parts of the medium, of the
// contents that each may have. Parts are units, or words where stores are non-temporal or
// units are torn. What is new at a point is its box without the boxes of the points before.
// Nearly always only the last one matters, since contents come and go in order; a content
// that comes back (a flag set again) makes earlier ones matter too.
type Census struct {
	model   Model
	mixed   map[int64]bool // units that take both kinds of stores in the course of the trace
	parts   map[int64]*part
	order   []*part
	changed map[*part]bool // stored to since the last point
	current []*part        // stored to by the last event, perhaps not all of it yet
	open    map[*part]bool // with several contents at the last point
	points  int
	total   *big.Int
	exact   bool
	alone   bool // all points so far had one image, so a set of them is enough
	seed    maphash.Seed
	sum     [2]uint64 // of the one image
	singles map[[2]uint64]bool
}

// part is one dimension of the boxes.
type part struct {
	number int
	off, n int64
	ids    map[string]int32
	spans  []span
	seen   []int // id: the last point at which it was legal
}

// span says what was legal from a point on.
type span struct {
	from int
	ids  []int32 // ascending
}

const (
	maxExpand = 4096    // contents of a unit that is written in both ways
	maxSteps  = 1 << 16 // of subtracting boxes
)

// NewCensus returns an empty census. Mixed are the units, by number, that take ordinary
// and non-temporal stores in the course of the trace.
func NewCensus(model Model, mixed map[int64]bool) *Census {
	return &Census{
		model: model, mixed: mixed, parts: map[int64]*part{}, changed: map[*part]bool{}, open: map[*part]bool{},
		total: new(big.Int), exact: true, alone: true, seed: maphash.MakeSeed(), singles: map[[2]uint64]bool{},
	}
}

// Mixed lists the units that take ordinary and non-temporal stores.
func Mixed(model Model, events []Event) map[int64]bool {
	kinds, mixed := map[int64]Kind{}, map[int64]bool{}
	for _, e := range events {
		if len(e.Data) == 0 {
			continue
		}
		unit := int64(model.Unit)
		for u := e.Off / unit; u <= (e.Off+int64(len(e.Data))-1)/unit; u++ {
			if k, known := kinds[u]; known && k != e.Kind {
				mixed[u] = true
			}
			kinds[u] = e.Kind
		}
	}
	return mixed
}

// Total returns the number of distinct images so far. It is exact, or else at most that.
func (c *Census) Total() (n *big.Int, exact bool) { return new(big.Int).Set(c.total), c.exact }

// Observe takes in an event before the state does.
func (c *Census) Observe(e Event, s *State) {
	if len(e.Data) == 0 {
		return
	}
	word := c.model.Torn || e.Kind == Attribute || e.Kind == Stream && c.model.Domain != PageCache
	c.current = c.current[:0]
	atoms(e, func(off int64, _ []byte) error {
		p := c.part(off, word, s.base)
		c.current, c.changed[p] = append(c.current, p), true
		return nil
	})
}

// part finds the part of a word. One that is new held its base content until now.
func (c *Census) part(off int64, word bool, base []byte) *part {
	size := int64(c.model.Unit)
	if word = word && !c.mixed[off/size]; word {
		size = Word
	}
	key := off / size * 2
	if word {
		key++
	}
	p := c.parts[key]
	if p == nil {
		p = &part{number: len(c.order), off: off / size * size, n: size, ids: map[string]int32{}}
		id := p.id(base[p.off : p.off+p.n])
		p.spans = []span{{0, []int32{id}}}
		p.seen[id] = c.points - 1
		c.parts[key] = p
		c.order = append(c.order, p)
	}
	return p
}

func (p *part) id(content []byte) int32 {
	id, known := p.ids[string(content)]
	if !known {
		id = int32(len(p.ids))
		p.ids[string(content)] = id
		p.seen = append(p.seen, -1)
	}
	return id
}

// add takes the content of a part into, or out of, the sum that stands for one image.
// The content of the begin, id 0, adds nothing: parts become known as time goes by.
func (c *Census) add(p *part, id int32) {
	if id == 0 {
		return
	}
	for i := range c.sum {
		c.sum[i] ^= maphash.Comparable(c.seed, [3]int{p.number, int(id), i})
	}
}

// Add counts a crash point: what may be durable now. It returns the number of images that
// are new.
func (c *Census) Add(s *State) *big.Int {
	again := c.record(s)
	var fresh *big.Int
	if c.alone = c.alone && len(c.open) == 0; c.alone {
		fresh = big.NewInt(1)
		if c.singles[c.sum] {
			fresh.SetInt64(0)
		}
		c.singles[c.sum] = true
	} else {
		fresh = c.fresh(again)
	}
	c.total.Add(c.total, fresh)
	c.points++
	return fresh
}

// record notes what is legal now, and reports whether a content came back that was not
// legal at the last point.
func (c *Census) record(s *State) (again bool) {
	legal := map[*part][]*Cell{}
	for _, cell := range s.Cells() {
		p := c.part(cell.Off, cell.word, s.base)
		legal[p] = append(legal[p], cell)
	}
	for p := range c.open {
		c.changed[p] = true
	}
	for p := range legal {
		c.changed[p] = true
	}
	clear(c.open)
	for p := range c.changed {
		ids := c.contents(p, legal[p], s.base)
		if len(ids) > 1 {
			c.open[p] = true
		}
		again = c.set(p, ids) || again
	}
	clear(c.changed)
	for _, p := range c.current {
		c.changed[p] = true
	}
	return again
}

// set makes ids what is legal of a part from this point on.
func (c *Census) set(p *part, ids []int32) (again bool) {
	last := p.spans[len(p.spans)-1].ids
	for _, id := range last {
		p.seen[id] = c.points - 1
	}
	for _, id := range ids {
		again = again || p.seen[id] >= 0 && p.seen[id] < c.points-1
	}
	if slices.Equal(last, ids) {
		return again
	}
	if len(last) == 1 {
		c.add(p, last[0])
	}
	if len(ids) == 1 {
		c.add(p, ids[0])
	}
	p.spans = append(p.spans, span{c.points, ids})
	return again
}

// contents lists what a part may hold.
func (c *Census) contents(p *part, cells []*Cell, base []byte) []int32 {
	content := slices.Clone(base[p.off : p.off+p.n])
	n := 1
	for _, cell := range cells {
		if n *= len(cell.Versions); n > maxExpand {
			c.exact, n = false, maxExpand
		}
	}
	ids := make([]int32, 0, n)
	for i := range n {
		rest := i
		for _, cell := range cells {
			copy(content[cell.Off-p.off:], cell.Versions[rest%len(cell.Versions)].Data)
			rest /= len(cell.Versions)
		}
		ids = append(ids, p.id(content))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// at returns what was legal of a part at a point.
func (p *part) at(point int) []int32 {
	i := len(p.spans) - 1
	if p.spans[i].from > point {
		i = sort.Search(i, func(i int) bool { return p.spans[i].from > point }) - 1
	}
	return p.spans[i].ids
}

// fresh returns how many images of this point were legal at none before.
func (c *Census) fresh(again bool) *big.Int {
	now := make([][]int32, len(c.order))
	for i, p := range c.order {
		now[i] = p.at(c.points)
	}
	var before [][][]int32
	for q := c.points - 1; q >= 0; q-- {
		if b := c.meet(now, q); b != nil && !slices.ContainsFunc(before, func(a [][]int32) bool { return inside(b, a) }) {
			before = append(before, b)
		}
		if !again {
			break
		}
	}
	steps := 0
	n := minus(now, before, &steps)
	c.exact = c.exact && steps <= maxSteps
	return n
}

// meet returns what was legal at a point q and is legal now, or nil if there is none.
func (c *Census) meet(now [][]int32, q int) [][]int32 {
	for p := range c.open {
		if len(intersect(now[p.number], p.at(q))) == 0 {
			return nil
		}
	}
	both := make([][]int32, len(now))
	for i, p := range c.order {
		if both[i] = intersect(now[i], p.at(q)); len(both[i]) == 0 {
			return nil
		}
	}
	return both
}

// minus returns the number of images in a box and in none of the others. Steps counts the
// work; beyond maxSteps the others are left alone, so that the number is at most right.
func minus(box [][]int32, others [][][]int32, steps *int) *big.Int {
	n := volume(box)
	if *steps++; len(others) == 0 || *steps > maxSteps {
		return n
	}
	first := make([][]int32, len(box))
	for i := range box {
		if first[i] = intersect(box[i], others[0][i]); len(first[i]) == 0 {
			return minus(box, others[1:], steps)
		}
	}
	if len(others) == 1 {
		return n.Sub(n, volume(first))
	}
	// The rest of the box, cut along one part after the other.
	n.SetInt64(0)
	cut := slices.Clone(box)
	for i := range box {
		if cut[i] = without(box[i], first[i]); len(cut[i]) > 0 {
			n.Add(n, minus(cut, others[1:], steps))
		}
		cut[i] = first[i]
	}
	return n
}

func volume(box [][]int32) *big.Int {
	n := big.NewInt(1)
	for _, ids := range box {
		if len(ids) > 1 {
			n.Mul(n, big.NewInt(int64(len(ids))))
		}
	}
	return n
}

func inside(a, b [][]int32) bool {
	for i := range a {
		if len(intersect(a[i], b[i])) != len(a[i]) {
			return false
		}
	}
	return true
}

// intersect and without take ascending lists.
func intersect(a, b []int32) []int32 {
	if slices.Equal(a, b) {
		return a
	}
	return pick(a, b, true)
}

func without(a, b []int32) []int32 { return pick(a, b, false) }

func pick(a, b []int32, in bool) []int32 {
	var out []int32
	for _, id := range a {
		if _, found := slices.BinarySearch(b, id); found == in {
			out = append(out, id)
		}
	}
	return out
}

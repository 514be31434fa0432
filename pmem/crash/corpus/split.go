package corpus

import (
	"fmt"
	"slices"
)

// A set of keys in two nodes of four words, at 64 and 128. The word at 0 links the second one.
// A key that stands in both counts once.
const (
	nodeLink = 0
	nodeA    = 64
	nodeB    = 128
)

// fill makes the words of a node durable.
func (t *toy) fill(node int64, keys ...uint64) {
	for i, k := range keys {
		t.put(node+8*int64(i), k)
	}
	t.persist(node, 8*int64(len(keys)))
}

func keys(t *toy) string {
	all := t.words(nodeA, 4)
	if t.get(nodeLink) != 0 {
		all = append(all, t.words(nodeB, 4)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return fmt.Sprint(slices.DeleteFunc(all, func(k uint64) bool { return k == 0 }))
}

var split = Case{
	Class:       "split not atomic",
	Description: "The upper half of a node leaves it before its new node is linked: in between nobody finds those keys.",
	Instance:    "FAST&FAIR (Witcher 5), CCEH (Witcher 24).",
	Shows:       "[1 2 3]",
	Explore: toys(script{
		create: func(t *toy) { t.fill(nodeA, 1, 2, 3, 4) },
		run: []step{{name: "split", do: func(t *toy) {
			t.fill(nodeB, 3, 4)
			if !t.broken {
				t.set(nodeLink, nodeB) // mends it: linked before anything leaves
			}
			t.set(nodeA+24, 0)
			t.set(nodeA+16, 0)
			if t.broken {
				t.set(nodeLink, nodeB)
			}
		}}, {name: "insert 5", do: func(t *toy) { t.set(nodeB+16, 5) }}},
		dump: keys,
	}),
}

var merge = Case{
	Class:       "merge not atomic",
	Description: "A node is unlinked before its keys stand in its neighbour.",
	Shows:       "[1]",
	Explore: toys(script{
		create: func(t *toy) { t.fill(nodeA, 1); t.fill(nodeB, 3, 4); t.set(nodeLink, nodeB) },
		run: []step{{name: "merge", do: func(t *toy) {
			if t.broken {
				t.set(nodeLink, 0)
			}
			t.fill(nodeA, 1, 3, 4)
			t.set(nodeLink, 0) // mends it: unlinked when its keys are durable elsewhere
		}}, {name: "insert 5", do: func(t *toy) { t.set(nodeA+24, 5) }}},
		dump: keys,
	}),
}

// A table of one word, or of two: where it is, and how long. Broken keeps these in two words.
var resize = Case{
	Class:       "resize not atomic",
	Description: "A table moves and grows: its place and its length are two words, and one may be new alone.",
	Instance:    "Level hashing has seven bugs of atomicity (Witcher).",
	Shows:       "[1 0]",
	Explore: toys(script{
		create: func(t *toy) { t.set(64, 1); t.table(64, 1) },
		run: []step{
			{name: "grow to 2", do: func(t *toy) { t.fill(128, 1, 2); t.table(128, 2) }},
			{name: "grow to 3", do: func(t *toy) { t.fill(192, 1, 2, 3); t.table(192, 3) }},
		},
		dump: func(t *toy) string {
			if t.broken {
				return fmt.Sprint(t.words(int64(t.get(0)), int(t.get(8))))
			}
			return fmt.Sprint(t.words(int64(t.get(0)&0xffff), int(t.get(0)>>32)))
		},
	}),
}

func (t *toy) table(at int64, n uint64) {
	if t.broken {
		t.set(8, n)
		t.set(0, uint64(at))
		return
	}
	t.set(0, n<<32|uint64(at)) // mends it: one word
}

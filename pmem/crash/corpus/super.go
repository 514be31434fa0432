package corpus

import "fmt"

// superblocks are two, in turn: counter, root, checksum.
func superblocks(sum func(t *toy, counter, root uint64) uint64, other func(t *toy, counter uint64) bool) exploring {
	read := func(t *toy) (counter, root uint64) {
		for i := range int64(2) {
			r := t.words(64*i, 3)
			if r[0] > counter && r[2] == sum(t, r[0], r[1]) {
				counter, root = r[0], r[1]
			}
		}
		return counter, root
	}
	return toys(script{
		run: steps("set root", func(t *toy, v uint64) {
			counter, _ := read(t)
			counter++
			off := int64(64 * (counter % 2))
			if !other(t, counter) {
				off = 0
			}
			t.write(off, counter, v, sum(t, counter, v))
		}, 10, 20, 30),
		dump: func(t *toy) string { _, root := read(t); return fmt.Sprint(root) },
	})
}

var superTorn = Case{
	Class:       "two superblocks in doubt: no checksum",
	Description: "The higher counter wins, and says nothing of whether the rest of its superblock is there.",
	Shows:       "0",
	Explore: superblocks(func(t *toy, counter, root uint64) uint64 {
		if t.broken {
			return 1
		}
		return crc(counter, root) // mends it
	}, func(*toy, uint64) bool { return true }),
}

var superSame = Case{
	Class:       "two superblocks in doubt: the valid one overwritten",
	Description: "The new superblock is written over the one that holds: torn, there is none.",
	Shows:       "0",
	Explore: superblocks(func(_ *toy, counter, root uint64) uint64 { return crc(counter, root) },
		func(t *toy, _ uint64) bool { return !t.broken }), // mends it: over the older one
}

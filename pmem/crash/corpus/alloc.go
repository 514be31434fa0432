package corpus

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
)

// An allocator: the word at 0 has a bit for each object in use, the one at 64 says which is
// the user's: 0 for none. Objects are words at 256, 320, ...
const (
	allocBits = 0
	allocRoot = 64
)

func object(i uint64) int64 { return 192 + 64*int64(i) }

// replace allocates an object, links it, and frees the one before.
func replace(t *toy, v uint64, linkFirst bool) {
	old := t.get(allocRoot)
	i := 1 + old%2
	link := func() { t.set(allocRoot, i) }
	t.set(object(i), v)
	if linkFirst {
		link()
		t.set(allocBits, 1<<i)
		return
	}
	t.set(allocBits, t.get(allocBits)|1<<i)
	link()
	t.set(allocBits, 1<<i)
}

// collect frees what nothing leads to.
func collect(t *toy) {
	if i := t.get(allocRoot); i == 0 {
		t.set(allocBits, 0)
	} else {
		t.set(allocBits, t.get(allocBits)&(1<<i))
	}
}

// reachable holds bits and root against each other.
func reachable(t *toy) error {
	bits, i := t.get(allocBits), t.get(allocRoot)
	switch {
	case i != 0 && bits&(1<<i) == 0:
		return errDangle
	case i == 0 && bits != 0, i != 0 && bits&^(1<<i) != 0:
		return errLeak
	}
	return t.err
}

func dumpRoot(t *toy) string {
	if i := t.get(allocRoot); i != 0 {
		return fmt.Sprint(t.get(object(i)))
	}
	return "none"
}

var leak = Case{
	Class:       "leak in allocation",
	Description: "Allocated and not yet linked when it fails: nothing leads to the object, and it is never free again.",
	Instance:    "P-BwTree (Witcher 28), pmwcas #8.",
	Want:        errLeak,
	Explore: toys(script{
		run: steps("replace", func(t *toy, v uint64) { replace(t, v, false) }, 1, 2, 3),
		recover: func(t *toy) {
			if !t.broken {
				collect(t) // mends it
			}
		},
		dump: dumpRoot, check: reachable,
	}),
}

var dangling = Case{
	Class:       "dangling link in allocation",
	Description: "Linked before it is allocated: after a failure the link leads to space that is free.",
	Want:        errDangle,
	Explore: toys(script{
		run:     steps("replace", func(t *toy, v uint64) { replace(t, v, t.broken) }, 1, 2, 3), // mends it: link last
		recover: collect, dump: dumpRoot, check: reachable,
	}),
}

var doubleFree = Case{
	Class:       "double free or overlap",
	Description: "An object is put on the list of free ones before its link goes: after a failure it is in use and free.",
	Instance:    "PMDK #5470: free before the zones are reclaimed.",
	Want:        errOverlap,
	Explore: toys(script{
		create: func(t *toy) { t.set(object(1), 7); t.set(allocRoot, 1) },
		run: []step{{name: "free", do: func(t *toy) {
			t.set(allocBits, 1) // the free list
			t.set(allocRoot, 0)
		}}, {name: "allocate", do: func(t *toy) {
			t.set(object(1), 8)
			t.set(allocBits, 0)
			t.set(allocRoot, 1)
		}}},
		recover: func(t *toy) {
			if i := t.get(allocRoot); !t.broken && i != 0 && t.get(allocBits) == i {
				t.set(allocRoot, 0) // mends it: what began to be freed is freed
			}
		},
		dump: dumpRoot,
		check: func(t *toy) error {
			if i := t.get(allocRoot); i != 0 && t.get(allocBits) == i {
				return errOverlap
			}
			return t.err
		},
	}),
}

// Space for three objects: the count of those used is at 0, they follow from 64 on, in pairs.
const space = 3

var commitFull = Case{
	Class:       "out of space in commit",
	Description: "A transaction of two objects finds no space for the second, and leaves the first.",
	Want:        errHalf,
	Explore: toys(script{
		run: steps("pair", func(t *toy, v uint64) {
			n := t.get(0)
			if !t.broken && n+2 > space {
				return // mends it: nothing changes before all is reserved
			}
			for i := n; i < n+2 && i < space; i++ {
				t.put(64+8*int64(i), v)
			}
			t.persist(64, 8*space)
			t.set(0, min(n+2, space))
		}, 1, 2),
		dump: func(t *toy) string { return fmt.Sprint(t.words(64, int(min(t.get(0), space)))) },
		check: func(t *toy) error {
			if t.get(0)%2 != 0 {
				return errHalf
			}
			return t.err
		},
	}),
}

var freeFull = Case{
	Class:       "out of space in free",
	Description: "Free wants space for its own record: when all is in use, nothing can be freed.",
	Instance:    "pmem/issues #1059.",
	Want:        crash.ErrOrder,
	Explore: toys(script{
		model: &number{show: plain},
		threads: func(o *crash.Ops[*toy]) error {
			err := apply(o, space, func(t *toy) string {
				t.set(0, t.get(0)+1)
				return plain(t.get(0))
			}, count)
			return errors.Join(err, apply(o, 1, func(t *toy) string {
				n := t.get(0)
				if t.broken && n == space { // mends it: space for the records of free is kept in reserve
					return "out of space"
				}
				t.set(512, n-1) // the record
				t.set(0, n-1)
				return "freed"
			}, func(c *number) string { c.n--; return "freed" }))
		},
		dump: func(t *toy) string { return plain(t.get(0)) },
	}),
}

var scrubbed = Case{
	Class:       "scrub over reused space",
	Description: "An erased object is to be scrubbed later; its space is used again before, and the scrub takes the new object.",
	Shows:       "0",
	Explore: toys(script{
		create: func(t *toy) { t.set(object(1), 7); t.set(allocRoot, 1) },
		run: []step{
			{name: "erase", do: func(t *toy) { t.set(allocRoot, 0); t.set(allocBits, uint64(object(1))) }},
			{name: "use again", do: func(t *toy) {
				if !t.broken {
					scrub(t) // mends it: what is to be scrubbed is not free
				}
				t.set(object(1), 8)
				t.set(allocRoot, 1)
			}},
		},
		recover: scrub, dump: dumpRoot,
	}),
}

// scrub does what the word says that is to be done: an offset.
func scrub(t *toy) {
	if off := t.get(allocBits); off != 0 {
		t.set(int64(off), 0)
		t.set(allocBits, 0)
	}
}

// residue writes a secret to an object, with a copy elsewhere, and erases it.
func residue(place string, copied, forgotten int64) Case {
	const secret = 0x5ec2e75ec2e75ec2
	return Case{
		Class:       "secret left in the " + place + " after erase",
		Description: "Erasing an object leaves its bytes in the " + place + ".",
		Instance:    map[string]string{"log": "PMDK since 1.7: old snapshots stay in the undo log."}[place],
		Want:        crash.ErrResidue,
		Explore: toys(script{
			run: []step{
				{name: "write", do: func(t *toy) {
					t.set(copied, secret)
					t.set(object(1), secret)
					t.set(allocRoot, 1)
				}},
				{name: "erase", do: func(t *toy) {
					t.set(allocRoot, 0)
					for _, off := range []int64{object(1), copied} {
						if !t.broken || off != forgotten { // mends it: each place where it was
							t.set(off, 0)
						}
					}
				}},
			},
			erased: pack([]uint64{secret}),
			dump:   dumpRoot,
		}),
	}
}

var (
	residueHeap    = residue("heap", 1024, object(1))
	residueLog     = residue("log", 1024, 1024)
	residueReplica = residue("replica", 4096, 4096)
)

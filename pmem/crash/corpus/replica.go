package corpus

import (
	"errors"
	"fmt"
)

// A word at 0, and its replica in another part of the medium.
const replicaOff = 4096

// catchUp brings the replica to its source.
func catchUp(t *toy) {
	if v := t.get(0); t.get(replicaOff) < v {
		t.set(replicaOff, v)
	}
}

func replicated(t *toy) error {
	switch v, r := t.get(0), t.get(replicaOff); {
	case r > v:
		return errAhead
	case r < v:
		return errApart
	}
	return t.err
}

var errApart = errors.New("the replica is apart from its source")

var replicaAhead = Case{
	Class:       "replica ahead of its source",
	Description: "The replica is durable first: after a failure it has what its source never had.",
	Want:        errAhead,
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			if t.broken {
				t.set(replicaOff, v)
			}
			t.set(0, v) // mends it: the source first
			t.set(replicaOff, v)
		}, 1, 2, 3),
		recover: catchUp, dump: show(0, 1), check: replicated,
	}),
}

var replicaApart = Case{
	Class:       "replica apart from its source",
	Description: "A failure between the two leaves the replica behind, and it never catches up.",
	Want:        errApart,
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) { t.set(0, v); t.set(replicaOff, v) }, 1, 2, 3),
		recover: func(t *toy) {
			if !t.broken {
				catchUp(t) // mends it
			}
		},
		dump: show(0, 1), check: replicated,
	}),
}

var labelOld = Case{
	Class:       "label lost or older than its data",
	Description: "Data is durable and its label is not: a secret stands under the label of what was public.",
	Shows:       "100 0",
	Explore: toys(script{
		run: steps("write under label", func(t *toy, v uint64) {
			if t.broken {
				t.set(64, 100*v)
				t.set(128, v)
				return
			}
			at := int64(64)
			if t.get(0) == 64 {
				at = 128
			}
			t.put(at, 100*v)
			t.put(at+8, v)
			t.persist(at, 16)
			t.set(0, uint64(at)) // mends it: one word brings both
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.broken {
				return both(64, 128)(t)
			}
			if t.get(0) == 0 {
				return "0 0"
			}
			at := int64(t.get(0))
			return fmt.Sprint(t.get(at), " ", t.get(at+8))
		},
	}),
}

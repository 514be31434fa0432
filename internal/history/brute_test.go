package history

import (
	"slices"
	"testing"
)

// explainable tries all orders: whether the transactions, one after the other, could have
// read what they did. It is what the checker must agree with.
func explainable(h History, attempts, realTime bool) bool {
	b := brute{h: h, attempts: attempts, realTime: realTime, placed: make([]bool, len(h))}
	return b.next(map[uint64][]uint64{})
}

type brute struct {
	h                  History
	attempts, realTime bool
	placed             []bool
}

// required: it must have a place. One of unknown outcome may have one.
func (b *brute) required(t int) bool {
	return b.h[t].Outcome == Committed || b.attempts && b.h[t].Outcome == Aborted
}

// next tries each transaction that may come next.
func (b *brute) next(state map[uint64][]uint64) bool {
	left := false
	for t := range b.h {
		if b.placed[t] || !b.required(t) && b.h[t].Outcome != Unknown {
			continue
		}
		left = left || b.required(t)
		if b.realTime && b.early(t) {
			continue
		}
		after, ok := run(b.h[t], state)
		if !ok {
			continue
		}
		b.placed[t] = true
		done := b.next(after)
		b.placed[t] = false
		if done {
			return true
		}
	}
	return !left
}

// early: another one that has no place yet ended before this one began.
func (b *brute) early(t int) bool {
	for u := range b.h {
		if !b.placed[u] && b.required(u) && b.h[u].End < b.h[t].Begin {
			return true
		}
	}
	return false
}

// run returns the state after a transaction, if it would read what it did.
func run(t Transaction, before map[uint64][]uint64) (map[uint64][]uint64, bool) {
	state := map[uint64][]uint64{}
	for k, list := range before {
		state[k] = slices.Clone(list)
	}
	for _, op := range t.Ops {
		list := state[op.Key]
		switch op.Kind {
		case Read:
			if last(list) != op.Value {
				return nil, false
			}
		case ReadList:
			if !slices.Equal(list, op.List) {
				return nil, false
			}
		default:
			state[op.Key] = append(list, op.Value)
		}
	}
	if t.Outcome == Aborted {
		return before, true
	}
	return state, true
}

func last(list []uint64) uint64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1]
}

// The checker agrees with trying all orders, in both directions, on small histories of
// several kinds; all anomalies occur among them.
func TestAgreesWithAllOrders(t *testing.T) {
	rounds := 60_000
	if testing.Short() {
		rounds = 6_000
	}
	good, bad, onlyLate := 0, 0, 0
	seen := map[Anomaly]int{}
	for seed := range rounds {
		h := small(uint64(seed))
		attempts := seed%3 == 0
		r, err := Check(h, Options{Attempts: attempts})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		strict, plain := explainable(h, attempts, true), explainable(h, attempts, false)
		if r.OK() != strict || r.Serialisable() != plain {
			t.Fatalf("seed %d, attempts %v: all orders say strict %v, plain %v, and the checker: %s\n%s", seed, attempts, strict, plain, r, whole(h))
		}
		for a := range r.Counts {
			seen[a]++
		}
		for _, f := range r.Findings {
			if len(f.Steps) > 0 && (len(f.Transactions) < 2 || len(slices.Compact(sorted(f.Transactions))) != len(f.Steps)) {
				t.Errorf("seed %d: a cycle comes twice through a transaction: %s", seed, r)
			}
		}
		switch {
		case strict:
			good++
		case plain:
			onlyLate++
		default:
			bad++
		}
	}
	t.Logf("seeds 0 to %d: %d strictly serialisable, %d serialisable, %d neither; anomalies %v", rounds-1, good, onlyLate, bad, seen)
	if least := rounds / 50; good < least || bad < least || onlyLate < least {
		t.Errorf("too few of one kind: %d, %d, %d", good, onlyLate, bad)
	}
	for a := Internal; a <= NotRealTime; a++ {
		if seen[a] == 0 {
			t.Errorf("no %s among them", a)
		}
	}
}

func whole(h History) string {
	text := ""
	for i, t := range h {
		text += "T" + word(uint64(i)) + " " + t.String() + "\n"
	}
	return text
}

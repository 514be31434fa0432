package corpus

// An undo log: old values are saved, and put back after a failure.
//
//	0      how many entries are valid: 0 ends the transaction
//	64     entries: offset, old value
//	256    the words of the user, up to 512
const (
	undoCount = 0
	undoLog   = 64
	userA     = 256
	userB     = 320 // another line
	userNext  = 264 // the line of userA
)

// save logs the old values of words.
func (t *toy) save(offs ...int64) {
	for i, off := range offs {
		t.put(undoLog+16*int64(i), uint64(off))
		t.put(undoLog+16*int64(i)+8, t.get(off))
	}
	t.persist(undoLog, 16*int64(len(offs)))
	t.set(undoCount, uint64(len(offs)))
}

// rollback puts them back.
func (t *toy) rollback() {
	n := min(t.get(undoCount), 4)
	if n == 0 {
		return
	}
	for i := range int64(n) {
		t.put(int64(t.get(undoLog+16*i)), t.get(undoLog+16*i+8))
	}
	t.persist(userA, 128)
	t.set(undoCount, 0)
}

// change stores two words and ends the transaction.
func (t *toy) change(a, b int64, v uint64) {
	t.put(a, v)
	t.put(b, v)
	t.persist(userA, 128)
	t.set(undoCount, 0)
}

func undoing(do func(t *toy, v uint64), recover func(t *toy)) exploring {
	return toys(script{
		run: steps("set both to", do, 1, 2, 3), recover: recover,
		dump: func(t *toy) string { return show(userA, 2)(t) + show(userB, 1)(t) },
	})
}

var unlogged = Case{
	Class:       "unlogged store",
	Description: "The second of two words is changed and was not logged: a rollback puts the first one back alone.",
	Instance:    "XFDetector's btree_race1: a TX_ADD_FIELD left out.",
	Shows:       "[0 0][1]",
	Explore: undoing(func(t *toy, v uint64) {
		if t.broken {
			t.save(userA)
		} else {
			t.save(userA, userB) // mends it: log each word before it changes
		}
		t.change(userA, userB, v)
	}, (*toy).rollback),
}

var logAfterStore = Case{
	Class:       "log written after the store",
	Description: "A word is stored and then logged: what is logged as its old value is the new one.",
	Instance:    "PMTest's btree_backup.",
	Shows:       "[1 0][0]",
	Explore: undoing(func(t *toy, v uint64) {
		if t.broken {
			t.put(userA, v)
		}
		t.save(userA, userB) // mends it: nothing is stored before this line
		t.change(userA, userB, v)
	}, (*toy).rollback),
}

var logDedup = Case{
	Class:       "wrong log de-duplication",
	Description: "Two words of one line: the second is taken for logged since its line is, but the entry holds one word.",
	Instance:    "go-pmem-transaction, the set of ranges in optEnd.go.",
	Shows:       "[0 1][0]",
	Explore: undoing(func(t *toy, v uint64) {
		offs, seen := []int64{}, map[int64]bool{}
		for _, off := range []int64{userA, userNext} {
			key := off // mends it: what is remembered is what was logged
			if t.broken {
				key = off / 64
			}
			if !seen[key] {
				offs = append(offs, off)
			}
			seen[key] = true
		}
		t.save(offs...)
		t.change(userA, userNext, v)
	}, (*toy).rollback),
}

var recoveryInverted = Case{
	Class:       "recovery condition inverted",
	Description: "Recovery rolls back when the log is empty, and does nothing when it is not.",
	Instance:    "XFDetector's hashmap_atomic_sem1 to 4.",
	Shows:       "[0 0][1]",
	Explore: undoing(func(t *toy, v uint64) {
		t.save(userA, userB)
		t.change(userA, userB, v)
	}, func(t *toy) {
		if empty := t.get(undoCount) == 0; empty == t.broken { // mends it: if !empty
			t.rollback()
		}
	}),
}

var recoveryMissing = Case{
	Class:       "recovery missing",
	Description: "The log is written as it should be, and nobody reads it after a failure.",
	Instance:    "FAST&FAIR has no recovery code (Witcher).",
	Shows:       "[0 0][1]",
	Explore: undoing(func(t *toy, v uint64) {
		t.save(userA, userB)
		t.change(userA, userB, v)
	}, func(t *toy) {
		if !t.broken {
			t.rollback() // mends it
		}
	}),
}

var recoveryTwice = Case{
	Class:       "recovery not idempotent",
	Description: "Recovery ends the log before what it put back is durable: a second failure finds neither.",
	Instance:    "PMDK #5461: a crash in the cleanup of a log.",
	Nested:      true,
	Shows:       "[0 0][1]",
	Explore: undoing(func(t *toy, v uint64) {
		t.save(userA, userB)
		t.change(userA, userB, v)
	}, func(t *toy) {
		if !t.broken {
			t.rollback() // mends it: there the log ends last
			return
		}
		n := min(t.get(undoCount), 4)
		if n == 0 {
			return
		}
		t.set(undoCount, 0)
		for i := range int64(n) {
			t.put(int64(t.get(undoLog+16*i)), t.get(undoLog+16*i+8))
		}
		t.persist(userA, 128)
	}),
}

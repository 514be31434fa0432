package corpus

import "fmt"

// A log of records of 64 bytes from 1024: sequence, length, 3 words, checksum. The records that
// hold are those from the first on, until one does not.
const logStart = 1024

func slot(i uint64) int64 { return logStart + 64*int64(i) }

// sums is a checksum that leaves something out, or nothing.
type sums func(seq, length uint64, words []uint64) uint64

func whole(seq, length uint64, words []uint64) uint64 {
	return crc(append([]uint64{seq, length}, words...)...)
}

// ring is a log of two slots, written over and over: the record of the highest sequence holds.
func ring(flawed sums) exploring {
	sum := func(t *toy) sums {
		if t.broken {
			return flawed
		}
		return whole // mends it: all that is trusted is in the checksum
	}
	put := func(t *toy, seq uint64) {
		// Records are of different length, and slots are used again.
		length, words := 1+seq/2%3, []uint64{seq, seq, seq}
		clear(words[length:])
		t.write(slot(seq%2), seq, length, words[0], words[1], words[2], sum(t)(seq, length, words))
	}
	return toys(script{
		run: steps("append", put, 1, 2, 3, 4, 5),
		dump: func(t *toy) string {
			newest, text := uint64(0), "none"
			for i := range uint64(2) {
				r := t.words(slot(i), 6)
				if seq, length := r[0], r[1]; seq > newest && length <= 3 && sum(t)(seq, length, r[2:5]) == r[5] {
					newest, text = seq, fmt.Sprint(seq, r[2:2+length])
				}
			}
			return text
		},
	})
}

var tornRecord = Case{
	Class:       "torn record: no checksum",
	Description: "The words of a record reach the medium in no order: its sequence may be there and its content not.",
	Instance:    "go-pmem's undo entries.",
	Shows:       "1 [0]",
	Explore:     ring(func(uint64, uint64, []uint64) uint64 { return 1 }),
}

var tornSequence = Case{
	Class:       "torn record: checksum without the sequence",
	Description: "The sequence is new, all else is the record that stood there before, and its checksum is right.",
	Instance:    "HSE #471.",
	Shows:       "3 [1]",
	Explore:     ring(func(_, length uint64, words []uint64) uint64 { return crc(append([]uint64{length}, words...)...) }),
}

var tornLength = Case{
	Class:       "torn record: checksum without the length",
	Description: "The length is that of the record which stood there before; the checksum is right.",
	Shows:       "1 []",
	Explore:     ring(func(seq, _ uint64, words []uint64) uint64 { return crc(append([]uint64{seq}, words...)...) }),
}

// sum is a number with a log of what is added to it. The word at 0 holds both the generation
// and the sum at the last opening. The living one keeps the sum in memory.
func sumRecover(t *toy) {
	generation := t.get(0) >> 32
	t.n, t.sum = 0, t.get(0)&0xffffffff
	for ; t.n < 8; t.n++ {
		r := t.words(slot(t.n), 3)
		if r[0] != generation<<32|t.n || r[2] != crc(r[:2]...) {
			break
		}
		t.sum += r[1]
	}
}

func sumAdd(t *toy, v uint64) {
	seq := t.get(0)>>32<<32 | t.n
	t.write(slot(t.n), seq, v, crc(seq, v))
	t.n, t.sum = t.n+1, t.sum+v
}

// sumReopen puts the sum in place and begins the log anew.
func sumReopen(t *toy) {
	generation := t.get(0) >> 32
	if !t.broken {
		generation++ // mends it: no record of before is one of this generation
	}
	t.set(0, generation<<32|t.sum)
	t.n = 0
}

func sumDump(t *toy) string { return fmt.Sprint(t.sum) }

var stale = Case{
	Class:       "stale record replayed",
	Description: "The log begins anew after reopening, with the same generation: what it held before counts once more.",
	Instance:    "XFDetector's semantic bugs.",
	Shows:       "12",
	Explore: toys(script{
		create:  func(t *toy) { t.set(0, 1<<32) },
		run:     append(append(steps("add", sumAdd, 1, 2, 3), step{name: "reopen", do: sumReopen}), steps("add", sumAdd, 4)...),
		recover: sumRecover, dump: sumDump,
	}),
}

var laterFirst = Case{
	Class:       "a later record acknowledged before an earlier one is durable",
	Description: "A record is acknowledged when it is durable itself; one before it is not, and the log ends there.",
	Shows:       "0",
	Explore: toys(script{
		create: func(t *toy) { t.set(0, 1<<32) },
		run: []step{
			{name: "add 1 relaxed", relaxed: true, do: func(t *toy) { sumStore(t, 0, 1) }},
			{name: "add 2", do: func(t *toy) {
				sumStore(t, 1, 2)
				if t.broken {
					t.persist(slot(1), 24)
					return
				}
				t.persist(slot(0), 64+24) // mends it: all up to the record
			}},
		},
		recover: sumRecover, dump: sumDump,
	}),
}

func sumStore(t *toy, n, v uint64) {
	for i, w := range []uint64{1<<32 | n, v, crc(1<<32|n, v)} {
		t.put(slot(n)+8*int64(i), w)
	}
	t.n, t.sum = n+1, t.sum+v
}

// A redo log of one record: offset and value at 64, and at 0 whether it holds. What it says is
// put in place later: after a failure, or before the next one.
func redoSet(t *toy, off int64, v uint64) {
	t.put(64, uint64(off))
	t.put(72, v)
	t.persist(64, 16)
	t.set(0, 1)
}

// redoApply puts in place what the log says, and ends it.
func redoApply(t *toy) {
	if t.get(0) == 0 {
		return
	}
	off := int64(t.get(64))
	t.put(off, t.get(72))
	if !t.broken {
		t.persist(off, 8)
	}
	t.set(0, 0)
}

var tailEarly = Case{
	Class:       "tail moved before it is durable",
	Description: "The log's tail passes a record whose word is in place, but in a cache: the record is gone, and the word too.",
	Shows:       "[0]",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			redoSet(t, 256, v)
			redoApply(t) // mends it: there the word is persisted before the tail moves
		}, 1, 2, 3),
		recover: redoApply,
		dump:    show(256, 1),
	}),
}

var reused = Case{
	Class:       "freed space reused while a live record covers it",
	Description: "A record still covers an object that was freed; its space is written anew, and recovery replays the record over it.",
	Shows:       "[1]",
	Explore: toys(script{
		run: []step{
			{name: "set 1", do: func(t *toy) { redoSet(t, 256, 1); t.put(256, 1) }},
			{name: "free and write 2 there", do: func(t *toy) {
				if !t.broken {
					t.persist(256, 8)
					t.set(0, 0) // mends it: no record covers what is free
				}
				t.set(256, 2)
			}},
		},
		recover: func(t *toy) {
			if t.get(0) != 0 {
				t.set(int64(t.get(64)), t.get(72))
				t.set(0, 0)
			}
		},
		dump: show(256, 1),
	}),
}

// A transaction of as many words as its value: two fit in an extent of the log. The word at 0
// says how many words there are, and so how many extents.
func chain(t *toy, n uint64) {
	at := int64(512)
	if t.get(0)>>32 == 512 {
		at = 1024
	}
	for i := range int64(n) {
		t.put(at+64*(i/2)+8*(i%2), n)
	}
	extents := (int64(n) + 1) / 2
	if t.broken {
		extents = min(extents, 2) // the first one, and the one that was chained to it
	}
	t.persist(at, 64*extents) // mends it: all of them
	t.set(0, uint64(at)<<32|n)
}

var chains = Case{
	Class:       "log overflow and chains of three and more",
	Description: "A record of more than two extents: the code that flushes the chain knows the first and the second.",
	Instance:    "PMDK #5461, DAOS-12734.",
	Shows:       "[6 6 6 6 6 0]",
	Explore: toys(script{
		run: steps("words", chain, 2, 4, 6),
		dump: func(t *toy) string {
			var all []uint64
			at, n := int64(t.get(0)>>32), int64(t.get(0)&0xff)
			for i := range n {
				all = append(all, t.get(at+64*(i/2)+8*(i%2)))
			}
			return fmt.Sprint(all)
		},
	}),
}

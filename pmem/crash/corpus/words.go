package corpus

import (
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

var oneLine = Case{
	Class:       "two words of one line taken as atomic",
	Description: "Two words of one line are stored, and flushed at once: the line keeps their order, but the first may be there alone.",
	Instance:    "P-ART's N4 (Witcher 27).",
	Shows:       "[1 0]",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			if t.broken {
				t.put(0, v)
				t.put(8, v)
				t.persist(0, 16)
				return
			}
			t.set(0, v<<32|v) // mends it: what changes together is one word
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.broken {
				return fmt.Sprint(t.words(0, 2))
			}
			return fmt.Sprint(t.get(0)>>32, t.get(0)&0xffff)
		},
	}),
}

var wideStore = Case{
	Class:       "wide store taken as atomic",
	Description: "A store of 32 bytes, aligned and inside a line: a failure may tear it at each word.",
	Instance:    "Yashme's persistency races.",
	Shows:       "[2 2 2 1]",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			at := int64(64)
			if !t.broken && t.get(0) == 64 {
				at = 128
			}
			t.fail(t.m.Store(at, pack([]uint64{v, v, v, v}), medium.Unclassed))
			t.persist(at, 32)
			t.set(0, uint64(at)) // mends it, with the other place: one word says which value holds
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.get(0) == 0 {
				return "none"
			}
			return fmt.Sprint(t.words(int64(t.get(0)), 4))
		},
	}),
}

var acrossLines = Case{
	Class:       "8 bytes across a line",
	Description: "A word at offset 60 lies in two lines, each of which may be durable without the other.",
	Shows:       "0000000001000000",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			off := int64(64) // mends it: aligned to 8
			if t.broken {
				off = 60
			}
			t.fail(t.m.Store(off, pack([]uint64{v<<32 | v}), medium.Unclassed))
			t.persist(off, 8)
		}, 1, 2, 3),
		dump: func(t *toy) string {
			b := make([]byte, 8)
			if t.broken {
				t.fail(t.m.Read(60, b))
			} else {
				t.fail(t.m.Read(64, b))
			}
			return fmt.Sprintf("%x", b)
		},
	}),
}

var streamed = Case{
	Class:       "fence left out after non-temporal stores on eADR",
	Description: "The caches survive, but non-temporal words wait in buffers that do not: without a fence the link overtakes them.",
	Instance:    "go-pmem: its fence is a compiler barrier there.",
	Model:       crash.EADR, Also: []state.Model{crash.Kill, crash.ADR, crash.PageCache},
	Shows: "[0 0]",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			at := int64(64)
			if t.get(0) == 64 {
				at = 128
			}
			p := t.m.Pin()
			defer p.Unpin()
			t.fail(p.Stream(at, pack([]uint64{v, v}), medium.Unclassed))
			if !t.broken {
				t.fail(p.Fence()) // mends it
			}
			t.set(0, uint64(at))
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.get(0) == 0 {
				return "none"
			}
			return fmt.Sprint(t.words(int64(t.get(0)), 2))
		},
	}),
}

var early = Case{
	Class:       "acknowledged before durable",
	Description: "The operation returns before the fence: what it promised may be lost.",
	Instance:    "PMFS (Chipmunk's PMFS 2).",
	Shows:       "[0]",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			t.put(0, v)
			if !t.broken {
				t.persist(0, 8) // mends it
			}
		}, 1, 2, 3),
		dump: show(0, 1),
	}),
}

var lockWord = Case{
	Class:       "persistent lock left held",
	Description: "The lock is a word of the structure: after a failure nobody lives to release it.",
	Instance:    "CCEH's sentinel (Witcher 25).",
	Want:        errLocked,
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			t.set(0, 1)
			t.set(64, v)
			t.set(0, 0)
		}, 1, 2, 3),
		recover: func(t *toy) {
			if !t.broken && t.get(0) != 0 {
				t.set(0, 0) // mends it; better still, keep locks out of persistent memory
			}
		},
		dump: show(64, 1),
		check: func(t *toy) error {
			if t.get(0) != 0 {
				return errLocked
			}
			return nil
		},
	}),
}

var pointer = Case{
	Class:       "volatile pointer stored",
	Description: "The link is an address of this process: the next one maps the medium elsewhere.",
	Instance:    "The pointers that Corundum's types forbid.",
	Model:       crash.Kill, Also: []state.Model{crash.ADR, crash.EADR, crash.PageCache},
	Want: medium.ErrRange,
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			at := int64(64)
			if t.get(0)%256 == 64 {
				at = 128
			}
			t.set(at, v)
			if t.broken {
				t.set(0, t.base+uint64(at))
				return
			}
			t.set(0, uint64(at)) // mends it: an offset
		}, 1, 2, 3),
		dump: func(t *toy) string {
			link := t.get(0)
			if t.broken && link != 0 {
				link -= t.base
			}
			if link == 0 {
				return "none"
			}
			return fmt.Sprint(t.get(int64(link)))
		},
	}),
}

var bypass = Case{
	Class:       "store past the medium",
	Description: "Bytes that were lent for reading are written: nothing flushes them, and nobody knows of the store.",
	Want:        crash.ErrBypassed,
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			if !t.broken {
				t.set(0, v) // mends it; on a file, what is lent is mapped read-only as well
				return
			}
			b, err := t.m.View(0, 8)
			if t.fail(err); err == nil {
				b[0] = byte(v)
			}
			t.persist(0, 8)
		}, 1, 2, 3),
		dump: show(0, 1),
	}),
}

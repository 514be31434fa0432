package corpus

import (
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

var wholeFile = Case{
	Class:       "header and data in one sync",
	Description: "One sync takes the data and the header that makes it valid: its pages are written in any order.",
	Instance:    "etcd #16596.",
	Model:       crash.PageCache, Also: []state.Model{crash.PageCache4K, crash.PageCacheTorn, crash.KillFile},
	Shows: "0",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			at := int64(4096)
			if t.get(0) == 4096 {
				at = 4096 + 512
			}
			t.put(at, v)
			if !t.broken {
				t.fail(t.m.SyncFile()) // mends it: a sync between data and header
			}
			t.put(0, uint64(at))
			t.fail(t.m.SyncFile())
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.get(0) == 0 {
				return "none"
			}
			return fmt.Sprint(t.get(int64(t.get(0))))
		},
	}),
}

var onePage = Case{
	Class:       "one page's sync skipped",
	Description: "The data ends in a second page, and the sync covers the first.",
	Model:       crash.PageCache, Also: []state.Model{crash.PageCache4K, crash.PageCacheTorn, crash.KillFile},
	Shows: "1 0",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			at := int64(4096 - 512)
			t.put(at+64*int64(v), v)
			t.put(4096+64*int64(v), v)
			if t.broken {
				t.persist(at, 512)
			} else {
				t.persist(at, 1024) // mends it
			}
			t.set(0, v)
		}, 1, 2, 3),
		dump: func(t *toy) string {
			v := int64(t.get(0))
			if v == 0 {
				return "none"
			}
			return both(4096-512+64*v, 4096+64*v)(t)
		},
	}),
}

var size = Case{
	Class:       "file size not durable",
	Description: "The file grew, and a link leads into what it grew by; its size was not synced.",
	Model:       crash.PageCache, Also: []state.Model{crash.PageCache4K, crash.PageCacheTorn, crash.KillFile},
	Want: medium.ErrRange,
	Explore: toys(script{
		most: 5 * 8192,
		run: steps("push", func(t *toy, v uint64) {
			at := t.m.Size()
			t.fail(t.m.Extend(at + 4096))
			if !t.broken {
				t.fail(t.m.SyncFile()) // mends it
			}
			t.set(at, v)
			t.set(0, uint64(at))
		}, 1, 2, 3),
		dump: func(t *toy) string {
			if t.get(0) == 0 {
				return "none"
			}
			return fmt.Sprint(t.get(int64(t.get(0))))
		},
	}),
}

var created = Case{
	Class:       "creation interrupted",
	Description: "The magic number is durable before what it vouches for: half a structure opens.",
	Instance:    "etcd #16596; 22 bugs of creation in Witcher's list.",
	Shows:       "[0]",
	Explore: toys(script{
		create: func(t *toy) {
			if t.broken {
				t.set(0, 0x5afe)
				t.set(64, 100)
				return
			}
			t.set(64, 100)
			t.set(0, 0x5afe) // mends it: last
		},
		recover: func(t *toy) {
			if t.get(0) != 0x5afe {
				t.fail(errNone)
			}
		},
		absent: func(err error) bool { return err == errNone },
		run:    steps("set", func(t *toy, v uint64) { t.set(64, v) }, 1, 2),
		dump:   show(64, 1),
	}),
}

var failedSync = Case{
	Class:       "failed sync, tried again",
	Description: "A sync fails and the next one succeeds: it says nothing of the pages that the first one lost.",
	Instance:    "PostgreSQL's fsync of 2018.",
	Model:       crash.PageCache, Also: []state.Model{crash.PageCache4K, crash.PageCacheTorn, crash.KillFile},
	FailSyncs: 20,
	Shows:     "1 0",
	Explore: toys(script{
		run: steps("set", func(t *toy, v uint64) {
			t.put(64*int64(v)+512, v)
			t.persist(64*int64(v)+512, 8)
			if t.broken && t.err != nil {
				t.err = nil
				t.persist(64*int64(v)+512, 8)
			}
			t.set(0, v) // mends it: nothing more is done after an error
		}, 1, 2, 3),
		dump: func(t *toy) string {
			v := int64(t.get(0))
			if v == 0 {
				return "none"
			}
			return fmt.Sprint(v, t.get(64*v+512))
		},
	}),
}

package main

import (
	"cmp"
	"time"

	"github.com/safevma/safevma/bench/compare"
	"github.com/safevma/safevma/bench/launch"
)

// tables are all that there are, in the order of the page. A new one needs its markers on
// the page.
func tables() []compare.Table {
	return []compare.Table{transactions(), crc(), commits(1), commits(16), keeping(), starts(), calls()}
}

const aboutTransactions = `One thread. A transaction changes as many distinct objects of 64 bytes as it says, each wholly,
chosen in no order among 65,536; or it allocates, or frees, one object of 64 bytes. The pool of
libpmemobj is as fast as it goes: no setjmp, addresses looked up before, pages touched before.
Both flush and fence (CLWB, non-temporal stores, SFENCE) as on DAX. *One append, no pool* is the
floor: the bytes of the objects and 64 more, streamed and fenced, and nothing else.`

func transactions() compare.Table {
	t := compare.Table{
		ID: "transactions", Title: "Transactions", About: aboutTransactions,
		Place: compare.Memory, Clock: compare.CPU, Unit: time.Nanosecond,
	}
	for _, m := range []struct {
		title      string
		lines, ops int
		goal       float64
	}{{"1 × 64 B", 1, 1_000_000, 5}, {"4 × 64 B", 4, 400_000, 7}, {"16 × 64 B", 16, 120_000, 9}} {
		t.Match = append(t.Match, compare.Match{
			Works: []compare.Work{{Measure: "tx", Title: m.title}},
			Contenders: []compare.Contender{
				{Name: "safevma", Work: "pool-tx", N: m.lines, Ops: m.ops},
				{Name: "libpmemobj", Program: "pmemobj", Work: "tx", N: m.lines, Ops: m.ops, Goals: map[string]float64{"tx": m.goal}},
				{Name: "one append, no pool", Work: "floor-dax", N: 64 * (m.lines + 1), Ops: 4 * m.ops},
			},
		})
	}
	t.Match = append(t.Match, compare.Match{
		Works: []compare.Work{{Measure: "alloc", Title: "allocate 64 B"}, {Measure: "free", Title: "free 64 B"}},
		Contenders: []compare.Contender{
			{Name: "safevma", Work: "pool-alloc", N: 50_000, Ops: 500_000},
			{Name: "libpmemobj", Program: "pmemobj", Work: "alloc", N: 50_000, Ops: 500_000, Goals: map[string]float64{"alloc": 4, "free": 3}},
		},
	})
	return t
}

const aboutCRC = `What the CRCs of objects add to a transaction; the CRC of the record is always on, and not
counted. They can't be switched off, so a profile tells: *off* is the time less their share.`

func crc() compare.Table {
	t := compare.Table{
		ID: "crc", Title: "CRCs of objects", About: aboutCRC,
		Place: compare.Memory, Clock: compare.CPU, Unit: time.Nanosecond,
	}
	for _, m := range []struct {
		title      string
		lines, ops int
	}{{"1 × 64 B", 1, 10_000_000}, {"4 × 64 B", 4, 5_000_000}, {"16 × 64 B", 16, 2_000_000}} {
		t.Match = append(t.Match, compare.Match{
			Works:      []compare.Work{{Measure: "off", Title: m.title + ", off"}, {Measure: "on", Title: m.title + ", on", Against: "off"}},
			Contenders: []compare.Contender{{Name: "safevma", Work: "pool-crc", N: m.lines, Ops: m.ops, Goals: map[string]float64{"on": -1.1}}},
		})
	}
	return t
}

const aboutCommits = `Each commit puts one key of 8 bytes, all different and in no order, with a value of 100 bytes,
and is durable when it returns. All stores are opened as they are by default, but for syncing
at each commit (Badger, Pebble). They are opened again after the run and must have every key.
safevma commits 50,000 times, so that its log goes round ten times and more with all its
checkpoints; the peers commit 10,000 times, which is short of most of their compactions.
*Hash buckets* is a table of fixed size made of transactions, until there are containers; *no
index* is an object that is allocated, and found by nobody.
`

func commits(writers int) compare.Table {
	t := compare.Table{
		ID: "commit-1", Title: "Durable commits, one writer", About: aboutCommits + aboutOneWriter,
		Place: compare.Disk, Clock: compare.Wall, Unit: time.Microsecond,
	}
	goals := map[string]float64{"badger": 1.5, "pebble": 1.8, "lmdb": 2.5, "bbolt": 2.8}
	if writers > 1 {
		t.ID, t.Title, t.About = "commit-16", "Durable commits, 16 writers", aboutCommits+aboutGroup
		goals = map[string]float64{"badger": 1.5, "pebble": 1.5, "lmdb": 1.5, "bbolt": 1.5}
	}
	goal := func(name string) map[string]float64 { return map[string]float64{"commit": goals[name]} }
	t.Match = []compare.Match{{
		Works: []compare.Work{{Measure: "commit", Title: "commit"}},
		Contenders: []compare.Contender{
			{Name: "safevma, hash buckets", Work: "pool-buckets", N: writers, Ops: 50_000},
			{Name: "safevma, no index", Work: "pool-commit", N: writers, Ops: 50_000},
			{Name: "Badger", Work: "badger", N: writers, Ops: 10_000, Goals: goal("badger")},
			{Name: "Pebble", Work: "pebble", N: writers, Ops: 10_000, Goals: goal("pebble")},
			{Name: "LMDB", Program: "lmdb", Work: "sync", N: writers, Ops: 10_000, Goals: goal("lmdb")},
			{Name: "LMDB, MDB_WRITEMAP", Program: "lmdb", Work: "writemap", N: writers, Ops: 10_000, Goals: goal("lmdb")},
			{Name: "bbolt", Work: "bbolt", N: writers, Ops: 10_000, Goals: goal("bbolt")},
			{Name: "one write, no store", Work: "floor", N: 256, Ops: 10_000},
		},
	}}
	if writers > 1 {
		all := &t.Match[0].Contenders
		*all = (*all)[:len(*all)-1]
	}
	return t
}

const aboutOneWriter = `*One write, no store* is the floor: 256 bytes written with RWF_DSYNC into an area that was
written before, and nothing else.`

const aboutGroup = `The keys of the writers are disjoint. bbolt commits with Batch, which goes as soon as all 16
wait. LMDB has no group commit.`

const aboutSecrets = `Secrets of 32 bytes that are locked, between guards and not dumped. *Allocate and free*: of a pool
and of memguard (NewBuffer, Destroy). *Open*: a secret that is sealed, decrypted to locked memory,
compared with what it must be, and freed; memguard does so with its Enclave. *In a window* is the
other way to keep it closed: a pool that is accessible in windows alone (mprotect). *Read*: all 32
bytes, through a slice that was lent once, or asking for them each time, which finds stale handles. *Window*: one of a region, to write a byte, next to the bare pair of mprotect calls.`

func keeping() compare.Table {
	ours := func(name, work string, ops int, goals map[string]float64) compare.Contender {
		return compare.Contender{Name: name, Work: work, Ops: ops, Goals: goals}
	}
	match := func(measure, title string, all ...compare.Contender) compare.Match {
		return compare.Match{Works: []compare.Work{{Measure: measure, Title: title}}, Contenders: all}
	}
	return compare.Table{
		ID: "secrets", Title: "Secrets", About: aboutSecrets,
		Place: compare.NoFile, Clock: compare.CPU, Unit: time.Nanosecond,
		Match: []compare.Match{
			match("alloc", "allocate and free",
				ours("safevma", "secret-pool", 5_000_000, nil),
				ours("memguard", "memguard-buffer", 20_000, map[string]float64{"alloc": 200})),
			match("open", "open",
				ours("safevma, sealed", "secret-sealed", 2_000_000, nil),
				ours("safevma, in a window", "secret-windowed", 200_000, nil),
				ours("memguard", "memguard-enclave", 10_000, map[string]float64{"open": 50})),
			match("read", "read",
				ours("a plain slice", "secret-slice", 50_000_000, nil),
				ours("safevma, Bytes once", "secret-pool-bytes", 50_000_000, nil),
				ours("safevma, Read", "secret-pool-read", 20_000_000, nil),
				ours("memguard, Bytes", "memguard-buffer-bytes", 20_000_000, nil)),
			match("window", "window",
				ours("mprotect, twice", "secret-mprotect", 300_000, nil),
				ours("safevma", "secret-window", 300_000, map[string]float64{"window": -1.1})),
		},
	}
}

const aboutStarts = `*Start and end* is from executing ` + "`safevma run`" + ` to its end, of a static program that does nothing; *none*
executes the program alone. Where a violation kills, the program is brought to its first instruction twice. The
others are of a program that runs: *map a program* is an executable mapping of a file and its end, at which under wx
and safety another process looks; *execute* is a static program executed and waited for. CPU time is of the process
that waits alone.`

func starts() compare.Table {
	return compare.Table{
		ID: "run-start", Title: "safevma run: starts", About: aboutStarts,
		Place: compare.NoFile, Clock: compare.Wall, Unit: time.Microsecond,
		Match: []compare.Match{
			{Works: []compare.Work{{Measure: "start", Title: "start and end"}}, Contenders: launches("run-start", 400)},
			{Works: []compare.Work{{Measure: "code", Title: "map a program"}, {Measure: "execute", Title: "execute"}}, Contenders: launches("run-waits", 2000)},
		},
	}
}

const aboutCalls = `System calls of a program that was started under a profile, beside the same program alone. *getppid* does
next to nothing itself: what it costs more is the seccomp filter. *mmap, munmap* and *mprotect, twice* are of memory
that is not executable, which the filter lets through after it has looked at their arguments.`

func calls() compare.Table {
	return compare.Table{
		ID: "run-calls", Title: "safevma run: calls", About: aboutCalls,
		Place: compare.NoFile, Clock: compare.CPU, Unit: time.Nanosecond,
		Match: []compare.Match{{
			Works:      []compare.Work{{Measure: "getppid", Title: "getppid"}, {Measure: "map", Title: "mmap, munmap"}, {Measure: "protect", Title: "mprotect, twice"}},
			Contenders: launches("run-calls", 1_000_000),
		}},
	}
}

func launches(work string, ops int) (all []compare.Contender) {
	for i, name := range launch.Profiles {
		all = append(all, compare.Contender{Name: cmp.Or(name, "none"), Work: work, N: i, Ops: ops})
	}
	return all
}

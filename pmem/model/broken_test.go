package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// The media of the table in docs/pmem/protocol.md.
var tabled = []state.Model{crash.Kill, crash.ADR, crash.EADR, crash.PageCache}

// Where a rule can fail.
var (
	anywhere   = tabled
	unfenced   = tabled[1:]                                   // where what is not fenced is lost
	cachesLost = []state.Model{crash.ADR, crash.PageCache}    // where what is only in caches is lost
	linesLost  = []state.Model{crash.ADR}                     // where a sync does not cover the whole file
	pagesLost  = []state.Model{crash.PageCache}               // where a sync can fail
	both       = crash.Config{Restart: true, FailSyncs: 1000} // failures of more than one kind
)

// rule is one that is broken.
type rule struct {
	name  string
	b     Break
	w     func(Break) workload
	far   func(Break) workload // on the page cache, where a log in one sector can't show it
	cfg   crash.Config
	fails []state.Model
	shows string // the store that the rule is about, in the counterexample: a regular expression
}

var rules = []rule{
	{"R1", R1, wraps, nil, crash.Config{}, anywhere, `in set 0 \[1 2\], at model/commit\.go:\d+ via model/words\.go`},
	{"R2", R2, reuse, nil, crash.Config{}, anywhere, `recovered: 2 \[10 21\][^$]*in new direct, at model/log\.go`},
	{"R2, small records", R2, reuseSmall, nil, crash.Config{}, anywhere,
		`recovered: 1 \[10 21\][^$]*in new direct, at model/log\.go`},
	{"R3", R3, wraps, nil, crash.Config{}, unfenced, `lost: +72 bytes at 8192, model/log\.go`},
	{"R3, a committer woken early", R3Taken, combining, nil, crash.Config{Schedules: 80}, anywhere,
		`after add \[\d\] was acknowledged`},
	{"R4, the old generation", R4Generation, livesNear, livesFar, crash.Config{}, unfenced,
		`in nothing; in the life after a crash[^$]*durable: \d+ bytes at \d+, model/log\.go`},
	{"R4, not durable", R4Durable, reopened, nil, crash.Config{}, cachesLost,
		`recovered: 2[^$]*allowed: +3[^$]*lost: +32 bytes at 0, model/superblock\.go`},
	{"R4, one superblock", R4One, reopened, nil, crash.Config{Damage: 1}, anywhere,
		`bit flipped in byte \d+, stored last by model/superblock\.go[^$]*recovered: 2`},
	{"R4, read from caches", RewriteSuperblock, reopened, nil, both, cachesLost,
		`the power failed after \d+ calls of the medium in recovery[^$]*at 0, model/superblock\.go`},
	{"R5, not applied durably", R5Applied, wraps, nil, crash.Config{}, cachesLost,
		`durable: 32 bytes at 512, model/checkpoint\.go[^$]*lost: +8 bytes at 12352, model/commit\.go`},
	{"R5, applied since the sync", R5Late, tails, nil, crash.Config{}, cachesLost,
		`durable: 32 bytes at 512, model/checkpoint\.go[^$]*lost: +8 bytes at 12352, model/commit\.go`},
	{"R5, the tail not durable", R5Tail, wraps, nil, crash.Config{}, cachesLost,
		`bytes at 512, model/checkpoint\.go[^$]*durable: 56 bytes at 8192, model/log\.go`},
	{"R5, under a chain", R5Tail, chainsWrap, nil, crash.Config{}, cachesLost,
		`bytes at 512, model/checkpoint\.go[^$]*durable: 48 bytes at 8448, model/log\.go`},
	{"R5, a torn tail", R5Torn, tails, nil, crash.Config{}, cachesLost,
		`512\.\.\d+ holds \w+ 0100000000000000 0000000000000000[^$]*at 512, model/checkpoint\.go`},
	{"R6", R6, readers, nil, crash.Config{}, unfenced, `lost: +72 bytes at 8192, model/log\.go`},
	{"R6, combined", R6Combined, combiningRead, nil, crash.Config{Schedules: 20}, anywhere, `model/combine\.go`},
	{"R7", R7, damage, nil, crash.Config{Damage: 1}, anywhere, `bit flipped in byte 83\d\d, stored last by model/log\.go`},
	{"a log read from caches", Rewrite, small, nil, both, cachesLost,
		`lost: +72 bytes at 8192, model/log\.go[^$]*model/recover\.go`},
	{"a failed sync ignored", Unpoisoned, insists, nil, both, pagesLost, `lost: +8 bytes at 12352, model/commit\.go`},
	{"a chain's CRC", ChainLast, chains, chainsFar, crash.Config{}, unfenced,
		`in set[^$]*(lost: +48|durable: 56) bytes at \d+, model/log\.go`},
	{"incarnations", Stale, stale, nil, crash.Config{}, anywhere,
		`reads the one that came after it[^$]*in new, at model/log\.go`},
	{"erase, the log", EraseLog, erases, nil, crash.Config{}, anywhere, `at 8232, stored last by model/log\.go`},
	{"erase, cleared early", EraseCleared, erases, nil, crash.Config{}, linesLost,
		`lost: +16 bytes at 13312, model/erase\.go`},
	{"erase, unfinished", EraseUnfinished, erases, nil, crash.Config{}, anywhere,
		`intents 1 are open[^$]*in erase, at model/log\.go`},
	{"erase, allocated", EraseAllocated, erasesBeside, nil, crash.Config{}, anywhere,
		`is allocated, and was scrubbed[^$]*in new where an intent is open, at model/log\.go`},
	{"growth, logged early", GrowLogged, grows, nil, crash.Config{}, unfenced, `lost: +8 bytes at 24576, model/grow\.go`},
	{"growth, a sync retried", GrowRetried, grows, nil, both, unfenced, `lost: +8 bytes at 24576, model/grow\.go`},
	{"growth, found space", GrowFound, growsAgain, nil, both, unfenced, `lost: +8 bytes at 24576, model/grow\.go`},
}

// Each broken rule is caught on each medium where it can fail, and holds where it can't: then it
// would not be the rule that matters there. The control, under the same configuration, holds.
func TestBrokenRules(t *testing.T) {
	for _, c := range rules {
		for _, m := range tabled {
			t.Run(c.name+"/"+m.String(), func(t *testing.T) { c.test(t, m) })
		}
	}
}

func (c *rule) test(t *testing.T, m state.Model) {
	cfg, w := c.cfg, c.w
	cfg.Models, cfg.Lives, cfg.Recoveries, cfg.Shallow = []state.Model{m}, 1<<10, 1<<24, testing.Short()
	if c.far != nil && m == crash.PageCache {
		w = c.far
	}
	if _, err := crash.Explore(context.Background(), cfg, w(Intact)); err != nil {
		t.Fatalf("the control fails: %v", err)
	}
	_, err := crash.Explore(context.Background(), cfg, w(c.b))
	var f *crash.Failure
	switch fails := slices.Contains(c.fails, m); {
	case !fails && err != nil:
		t.Errorf("it should not matter here: %v", err)
	case fails && !errors.As(err, &f):
		t.Errorf("not caught: %v", err)
	case fails && !regexp.MustCompile(c.shows).MatchString(f.Error()):
		t.Errorf("the failure does not show %s:\n%v", c.shows, f)
	case fails:
		t.Logf("%v", f)
	}
}

// The table says what the test above tests.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/pmem/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rules {
		row := fmt.Sprintf("| %s |", c.name)
		for _, m := range tabled {
			if slices.Contains(c.fails, m) {
				row += " fails |"
			} else {
				row += " – |"
			}
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/pmem/protocol.md has no row %s", row)
		}
	}
}

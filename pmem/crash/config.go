package crash

import (
	"time"

	"github.com/safevma/safevma/pmem/crash/state"
)

// The models: which states a failure may leave. See package state.
var (
	// Kill ends the process alone: what was stored is there, in program order.
	Kill = state.Model{Domain: state.Kill, Unit: 64}
	// KillFile is Kill on an ordinary file: the structure takes the way of the page cache.
	KillFile = state.Model{Domain: state.Kill, Unit: 4096}
	// ADR is persistent memory whose caches are lost: a store needs a flush and a fence.
	ADR = state.Model{Domain: state.ADR, Unit: 64}
	// EADR is persistent memory whose caches survive: non-temporal stores need a fence.
	EADR = state.Model{Domain: state.EADR, Unit: 64}
	// PageCache is an ordinary file on a disk with sectors of 512 bytes.
	PageCache = state.Model{Domain: state.PageCache, Unit: 512}
	// PageCache4K is an ordinary file on a disk with sectors of 4096 bytes.
	PageCache4K = state.Model{Domain: state.PageCache, Unit: 4096}
	// PageCacheTorn lets any 8 bytes of a page reach the disk: it may be written back while it
	// changes.
	PageCacheTorn = state.Model{Domain: state.PageCache, Unit: 512, Torn: true}
)

// Config says how much is explored. The zero value is complete exploration, as far as
// Recoveries goes, under Kill, ADR and EADR.
type Config struct {
	// Name of the exploration, in reports.
	Name string
	// Models to explore.
	Models []state.Model
	// Seed of all choices: schedules, samples, damage.
	Seed uint64
	// Schedules to try where the workload starts goroutines. Zero is 20.
	Schedules int
	// Recoveries is how many a crash point may cost. A crash point that needs more is
	// sampled, and the report says so. Zero is 20,000.
	Recoveries int
	// Samples is how many images of such a crash point are tried. Zero is 2,000.
	Samples int
	// Shallow leaves out crashes during recovery.
	Shallow bool
	// Lives is how many images are recovered and lived on, where the workload has a Resume: all,
	// also those that are one for recovery, since the next life may read what it did not; or a
	// random sample if there are more. Zero is 32. They are those that a first failure leaves, in
	// the runs in which a sync failed too. What a crash in recovery, or a restart, leaves is
	// recovered and checked, and not lived on. No sync fails in a second life.
	Lives int
	// Restart adds, at each crash point, a process that is killed and restarted, and recovers
	// what the caches hold, and then a power failure, which takes from the caches what recovery
	// has relied on. What recovery showed must stay.
	Restart bool
	// Damage flips bits in, and poisons, what recovery reads of the last image: that many
	// bits for each block of 64 bytes. Recovery must report it, or be right all the same.
	Damage int
	// FailSyncs runs the workload again for each of its first syncs, so many of them, and lets
	// that one fail (EIO): what it covered is then durable or lost for ever. An operation that
	// returns an error may have taken effect or not. The workload may go on after it, or end
	// with that error.
	FailSyncs int
	// FailPairs lets each pair of those syncs fail as well. A workload that opens the structure again
	// after the first failure, with [Ops.Reopen], shows what the second one does there.
	FailPairs bool
	// Quick visits one crash point for each distinct call stack, where an acknowledgement is two:
	// before it and after it.
	Quick bool
	// StrictLints makes lints failures.
	StrictLints bool
	// Unpruned recovers each image of each crash point: for comparing. It implies Shallow.
	Unpruned bool
	// Memory bounds what is kept to save recoveries, in bytes. Zero is 256 MiB. What is
	// forgotten is recovered again.
	Memory int64
	// Progress is called every second or so, in the goroutine of Explore.
	Progress func(Progress)
}

// Progress is where an exploration stands.
type Progress struct {
	Model      state.Model
	Schedule   int
	Event      int // of Events
	Events     int
	Points     int
	States     string
	Recoveries int64
	Elapsed    time.Duration
}

func (c Config) withDefaults() Config {
	if len(c.Models) == 0 {
		c.Models = []state.Model{Kill, ADR, EADR}
	}
	set := func(v *int, standard int) {
		if *v <= 0 {
			*v = standard
		}
	}
	set(&c.Schedules, 20)
	set(&c.Recoveries, 20_000)
	set(&c.Samples, 2_000)
	set(&c.Lives, 32)
	c.Shallow = c.Shallow || c.Unpruned
	if c.Memory <= 0 {
		c.Memory = 256 << 20
	}
	return c
}

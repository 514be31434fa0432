package recording

import (
	"encoding/json"
	"time"

	"github.com/safevma/safevma/kernel/damon"
)

// Entry is one of [Start], [Setup], [Snapshot], [Applied], [Quota], [Tuned], [Lost],
// [Footprint] and [End], as pointers.
type Entry interface {
	kind() uint64
	append(b []byte) []byte
	parse(b *body)
}

// The kinds, as they stand in the file. Others are of newer versions, and passed over.
const (
	kindStart = 1 + iota
	kindSetup
	kindSnapshot
	kindApplied
	kindQuota
	kindTuned
	kindLost
	kindFootprint
	kindEnd
)

// newEntry makes an empty entry of a kind; nil of one that is not known.
func newEntry(kind uint64) Entry {
	switch kind {
	case kindStart:
		return &Start{}
	case kindSetup:
		return &Setup{}
	case kindSnapshot:
		return &Snapshot{}
	case kindApplied:
		return &Applied{}
	case kindQuota:
		return &Quota{}
	case kindTuned:
		return &Tuned{}
	case kindLost:
		return &Lost{}
	case kindFootprint:
		return &Footprint{}
	case kindEnd:
		return &End{}
	}
	return nil
}

// Start is the first entry: where and when.
type Start struct {
	Source  string    `json:"source"` // "tracefs", or what was imported
	Program string    `json:"program"`
	Host    string    `json:"host,omitempty"`
	Kernel  string    `json:"kernel,omitempty"`
	BootID  string    `json:"boot_id,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	// Monotonic is what CLOCK_MONOTONIC was at Time, in nanoseconds. All other times of
	// the file are of that clock.
	Monotonic int64 `json:"monotonic_ns,omitempty"`
	// Absent are events that the kernel does not have.
	Absent []string `json:"absent_events,omitempty"`
}

// Setup is how was watched from Time on. It comes first where it is known, and again
// when it has changed.
type Setup struct {
	Time     int64     `json:"monotonic_ns"`
	Contexts []Context `json:"contexts"`
}

// Context is what a kdamond watches.
type Context struct {
	Thread     int              `json:"thread"` // what snapshots call it
	Kdamond    int              `json:"kdamond"`
	Context    int              `json:"context"`
	Scheme     *int             `json:"scheme,omitempty"` // where it was recorded for one
	Owner      damon.Owner      `json:"owner,omitempty"`
	Operations damon.Operations `json:"operations,omitempty"`
	AddrUnit   uint64           `json:"addr_unit"` // bytes of a unit of addresses
	// Intervals are 0 where they are not known.
	Intervals damon.Intervals `json:"intervals"`
	Regions   damon.Range     `json:"nr_regions"`
	PIDs      []int           `json:"pids,omitempty"` // of the targets, in their order
}

// TargetPID is the process of a target, which may be any number in what was imported; false
// where none is known.
func (c *Context) TargetPID(target uint64) (int, bool) {
	if target >= uint64(len(c.PIDs)) {
		return 0, false
	}
	return c.PIDs[target], true
}

// Snapshot is one target at one aggregation.
type Snapshot struct{ damon.Snapshot }

// Applied is a region that a scheme acted upon.
type Applied struct{ damon.BeforeApply }

// Quota is the quota of a scheme as its goals have tuned it.
type Quota struct{ damon.EffectiveSize }

// Tuned is a new sampling interval.
type Tuned struct{ damon.IntervalsTuned }

// Lost is that events are missing here.
type Lost struct {
	Time   int64 // of the first event behind
	CPU    int
	Events uint64 // at least; 0 where it is not known how many
}

// Footprint is how much memory is used.
type Footprint struct {
	Time int64
	PID  int // 0 is the whole host
	// Size is the address space of a process, or the memory of the host; Resident what is
	// in memory of it, or on the host not free; Shared what of that is of files and shared,
	// or on the host file cache. In bytes.
	Size, Resident, Shared uint64
}

// End is the last entry.
type End struct {
	Time   int64  `json:"monotonic_ns"`
	Reason string `json:"reason"`
	// How many were written and lost, of all files of the recording so far.
	Snapshots uint64 `json:"snapshots"`
	Partial   uint64 `json:"partial_snapshots"`
	Lost      uint64 `json:"lost_events"`
}

func (*Start) kind() uint64     { return kindStart }
func (*Setup) kind() uint64     { return kindSetup }
func (*Snapshot) kind() uint64  { return kindSnapshot }
func (*Applied) kind() uint64   { return kindApplied }
func (*Quota) kind() uint64     { return kindQuota }
func (*Tuned) kind() uint64     { return kindTuned }
func (*Lost) kind() uint64      { return kindLost }
func (*Footprint) kind() uint64 { return kindFootprint }
func (*End) kind() uint64       { return kindEnd }

func (e *Start) append(b []byte) []byte { return appendJSON(b, e) }
func (e *Setup) append(b []byte) []byte { return appendJSON(b, e) }
func (e *End) append(b []byte) []byte   { return appendJSON(b, e) }
func (e *Start) parse(b *body)          { b.json(e) }
func (e *Setup) parse(b *body)          { b.json(e) }
func (e *End) parse(b *body)            { b.json(e) }

// appendJSON: these types have nothing that JSON can't say.
func appendJSON(b []byte, v any) []byte {
	text, _ := json.Marshal(v)
	return append(b, text...)
}

func (e *Snapshot) append(b []byte) []byte {
	b = appendInts(b, int64(e.Thread), e.Start, e.End)
	b = appendUints(b, e.Target, e.Expected, uint64(len(e.Regions)))
	end := uint64(0)
	for _, r := range e.Regions {
		b = appendInts(b, int64(r.Start-end))
		b = appendUints(b, r.End-r.Start, r.Accesses, r.Age)
		end = r.End
	}
	return b
}

// regionLeast is how many bytes a region has at least: a number cannot ask for more memory
// than that of a block.
const regionLeast = 4

func (e *Snapshot) parse(b *body) {
	e.Thread = int(b.int())
	b.ints(&e.Start, &e.End)
	b.uints(&e.Target, &e.Expected)
	n := b.uint()
	if n > uint64(len(b.left))/regionLeast {
		b.fail()
		return
	}
	e.Regions = e.Regions[:0]
	end := uint64(0)
	for range n {
		r := damon.Region{Start: end + uint64(b.int())}
		end = r.Start + b.uint()
		r.End = end
		b.uints(&r.Accesses, &r.Age)
		e.Regions = append(e.Regions, r)
	}
}

func (e *Applied) append(b []byte) []byte {
	b = appendInts(b, e.Time, int64(e.Thread))
	return appendUints(b, e.Context, e.Scheme, e.Target, e.Regions, e.Region.Start, e.Region.End, e.Region.Accesses, e.Region.Age)
}

func (e *Applied) parse(b *body) {
	b.ints(&e.Time)
	e.Thread = int(b.int())
	b.uints(&e.Context, &e.Scheme, &e.Target, &e.Regions, &e.Region.Start, &e.Region.End, &e.Region.Accesses, &e.Region.Age)
}

func (e *Quota) append(b []byte) []byte {
	return appendUints(appendInts(b, e.Time, int64(e.Thread)), e.Context, e.Scheme, e.Bytes)
}

func (e *Quota) parse(b *body) {
	b.ints(&e.Time)
	e.Thread = int(b.int())
	b.uints(&e.Context, &e.Scheme, &e.Bytes)
}

func (e *Tuned) append(b []byte) []byte {
	return appendUints(appendInts(b, e.Time, int64(e.Thread)), e.Sample)
}

func (e *Tuned) parse(b *body) {
	b.ints(&e.Time)
	e.Thread = int(b.int())
	b.uints(&e.Sample)
}

func (e *Lost) append(b []byte) []byte {
	return appendUints(appendInts(b, e.Time, int64(e.CPU)), e.Events)
}

func (e *Lost) parse(b *body) {
	b.ints(&e.Time)
	e.CPU = int(b.int())
	b.uints(&e.Events)
}

func (e *Footprint) append(b []byte) []byte {
	return appendUints(appendInts(b, e.Time, int64(e.PID)), e.Size, e.Resident, e.Shared)
}

func (e *Footprint) parse(b *body) {
	b.ints(&e.Time)
	e.PID = int(b.int())
	b.uints(&e.Size, &e.Resident, &e.Shared)
}

package fsck

import (
	"context"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// Check checks the pool on a medium that nobody writes meanwhile. What is wrong with the pool is in
// the report. An error says why there is none: a format that this version does not know
// ([pmem.ErrFormat]), or that the context has ended.
func Check(ctx context.Context, m *medium.Medium) (*Report, error) {
	c := &checker{ctx: ctx, report: &Report{Schema: Schema, Problems: []Problem{}}, seen: map[Kind]int{}}
	r, err := pmem.NewReader(m)
	if errors.Is(err, pmem.ErrFormat) {
		return nil, err
	}
	c.superblocks(pmem.ReadSuperblocks(m), err != nil)
	if err != nil {
		c.noReader(err)
		return c.report, nil
	}
	c.r = r
	return c.report, c.check()
}

// Pool checks a pool that is open and quiet, and returns what is wrong with it as an [UncleanError].
// It is what tests and the explorer of crash states call.
func Pool(p *pmem.Pool) error {
	report, err := Check(context.Background(), p.Medium())
	if err != nil {
		return err
	}
	return report.Err()
}

type checker struct {
	ctx    context.Context
	r      *pmem.Reader
	report *Report
	seen   map[Kind]int
	types  map[uint32]*typeState
	table  []*typeState // in order
	names  map[string]uint32
	spans  spans
	run    bigRun
	stack  []int64 // offsets of objects that are reached, and whose references are not followed yet
	full   bool    // the stack did not take all
	buffer []byte

	// partial: some types are not known, so that not every name of one can be.
	partial bool
	// hidden: something that may hold references could not be read.
	hidden bool
}

func (c *checker) check() error {
	c.report.ID, c.report.Size, c.report.Sequence = c.r.ID(), c.r.Size(), c.r.Log().Sequence
	c.tails()
	if !c.log() {
		return nil
	}
	c.loadTypes()
	if err := c.heap(); err != nil {
		return err
	}
	if err := c.reach(); err != nil {
		return err
	}
	c.leaks()
	c.report.Complete = true
	return nil
}

// place is where a problem is.
type place struct {
	off    int64
	span   int64 // -1: none
	object pmem.Address
}

func at(off int64) place { return place{off: off, span: -1} }

// say adds a problem.
func (c *checker) say(severity Severity, kind Kind, p place, format string, args ...any) {
	if c.seen[kind]++; c.seen[kind] > mostOfKind {
		c.report.Omitted++
		return
	}
	one := Problem{Severity: severity, Kind: kind, Offset: p.off, What: fmt.Sprintf(format, args...), Do: remedies[kind]}
	if p.span >= 0 {
		one.Span = &p.span
	}
	if !p.object.IsNil() {
		one.Object = p.object.String()
	}
	c.report.Problems = append(c.report.Problems, one)
}

// fail adds a problem that is an error: of the medium, or of the kind given.
func (c *checker) fail(kind Kind, p place, err error) {
	var damage *pmem.DamageError
	off, fault := medium.IsFault(err)
	switch {
	case fault:
		p.off = off
		c.say(Error, Unreadable, p, "%v", err)
	case errors.As(err, &damage):
		p.off = damage.Off
		c.say(Error, kind, p, "%s", damage.What)
	default:
		c.say(Error, kind, p, "%v", err)
	}
}

// remedies say what can be done about a problem.
var remedies = map[Kind]string{
	Superblock:  "if one copy is valid, open the pool to be written: that writes both anew; if none is, restore the file from a copy",
	Tail:        "open the pool to be written: that begins a new log; the other slot serves meanwhile",
	Log:         "keep a copy of the file: the pool can't be opened without losing what was durable; restore it from a copy",
	Descriptor:  "what is in the span can't be used: read the rest with \"safevma pool dump\", and write it to a new pool",
	Bitmap:      "write what the roots reach to a new pool: in this one the slot may be given away twice",
	Header:      "an object: free what refers to it, and write it anew; a free slot is not used again and can stay",
	Block:       "write the whole object anew, or free it: until then reading it is an error",
	Size:        "free what refers to it, and write it anew to a new pool",
	Type:        "use the version of the program that made the object; if there is none, free what refers to it",
	Types:       "write what the roots reach to a new pool: objects of the type can't be shown or found in this one",
	Root:        "set the root anew",
	Run:         "write what the roots reach to a new pool: in this one the space may be given away twice",
	Incarnation: "write what the roots reach to a new pool: in this one a stale reference may seem valid",
	Reserved:    "a newer version may have written it: use that one; otherwise it is damage, and restore the file from a copy",
	Leak:        "if a program keeps the reference elsewhere, it should make it a root; otherwise free it, or write what the roots reach to a new pool",
	Dangling:    "set the reference to nil, or free the object that holds it",
	Unreadable:  "look at the device: the kernel's log names its bad blocks; what is there is lost",
}

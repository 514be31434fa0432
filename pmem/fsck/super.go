package fsck

import (
	"errors"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// superblocks checks both copies. One that is not valid is a warning, unless there is no other.
func (c *checker) superblocks(both [2]pmem.Superblock, none bool) {
	a, b := both[0], both[1]
	for _, s := range both {
		severity := Warning
		if none {
			severity = Error
		}
		var damage *pmem.DamageError
		_, fault := medium.IsFault(s.Err)
		switch {
		case s.Err == nil && s.Reserved:
			c.say(Warning, Reserved, at(s.Off), "reserved bytes of a superblock are not 0")
		case s.Err == nil && s.Writers != 0:
			c.say(Warning, Reserved, at(s.Off), "features %#x: this version can read the pool, and not open it to be written", s.Writers)
		case fault:
			c.say(severity, Unreadable, at(s.Off), "%v", s.Err)
		case errors.As(s.Err, &damage):
			c.say(severity, Superblock, at(s.Off), "%s", damage.What)
		case s.Err != nil:
			c.say(severity, Superblock, at(s.Off), "%v", s.Err)
		}
	}
	if a.Err != nil || b.Err != nil {
		return
	}
	same := b
	same.Off, same.Counter, same.Generation, same.Sequence, same.Reserved = a.Off, a.Counter, a.Generation, a.Sequence, a.Reserved
	same.Writers, same.Compatible = a.Writers, a.Compatible
	older, newer := a, b
	if a.Counter > b.Counter {
		older, newer = b, a
	}
	switch {
	case same != a:
		c.say(Error, Superblock, at(older.Off), "the superblocks are of different pools: their ids or sizes differ")
	case older.Counter == newer.Counter:
		c.say(Error, Superblock, at(older.Off), "both superblocks were written as number %d", older.Counter)
	case older.Sequence > newer.Sequence:
		c.say(Error, Superblock, at(older.Off), "the older superblock says that sequence %d was reached, the newer one %d", older.Sequence, newer.Sequence)
	}
}

// noReader says why nothing else can be checked.
func (c *checker) noReader(err error) {
	if len(c.report.Problems) == 0 || errors.Is(err, pmem.ErrDamage) {
		c.fail(Superblock, at(0), err)
	}
}

func (c *checker) tails() {
	both := c.r.Tails()
	for _, t := range both {
		if _, fault := medium.IsFault(t.Err); fault {
			c.say(Warning, Unreadable, at(t.Off), "%v", t.Err)
		} else if t.Err != nil {
			c.say(Warning, Tail, at(t.Off), "a tail of the log is not valid: a failure while it was written, or damage")
		} else if t.Current && t.Reserved {
			c.say(Warning, Reserved, at(t.Off), "reserved bytes of a tail of the log are not 0")
		}
	}
	a, b := both[0], both[1]
	if a.Err != nil || b.Err != nil || !a.Current || !b.Current {
		return
	}
	if (a.Sequence > b.Sequence) != (a.Position > b.Position) {
		c.say(Error, Tail, at(b.Off), "the tails of the log are sequence %d at %d, and sequence %d at %d", a.Sequence, a.Position, b.Sequence, b.Position)
	}
}

// log reports whether the log can be replayed.
func (c *checker) log() bool {
	l := c.r.Log()
	c.report.Log = LogState{l.Records, l.Bytes, l.Torn && l.Err == nil}
	if l.Err == nil {
		return true
	}
	p := at(c.r.LogOffset())
	var damage *pmem.DamageError
	if errors.As(l.Err, &damage) {
		p.off = damage.Off
	}
	if _, fault := medium.IsFault(l.Err); fault {
		c.fail(Log, p, l.Err)
		return false
	}
	c.say(Error, Log, p, "%v", l.Err)
	return false
}

package tracefs

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Layout is where the parts of a page of the ring buffer lie (events/header_page):
//
//	+-----------+--------+------------------------------+
//	| timestamp | commit | data: events                 |
//	+-----------+--------+------------------------------+
type Layout struct {
	Timestamp, Commit, Data Field
}

// ParseLayout parses events/header_page.
func ParseLayout(r io.Reader) (*Layout, error) {
	var fields []Field
	if err := lines(r, func(string) error { return nil }, &fields); err != nil {
		return nil, err
	}
	l := &Layout{}
	for _, f := range fields {
		switch f.Name {
		case "timestamp":
			l.Timestamp = f
		case "commit":
			l.Commit = f
		case "data":
			l.Data = f
		}
	}
	if l.Timestamp.Size != 8 || l.Commit.Size != 8 && l.Commit.Size != 4 || l.Data.Size == 0 || l.Data.Offset < l.Commit.Offset+l.Commit.Size {
		return nil, fmt.Errorf("%w: pages of the ring buffer are not as known: %+v", ErrMalformed, fields)
	}
	l.Commit.Signed = false
	return l, nil
}

// Size is the size of a page.
func (l *Layout) Size() int { return l.Data.Offset + l.Data.Size }

// Flags of the commit word, above the number of bytes (RB_MISSED_EVENTS, RB_MISSED_STORED
// in kernel/trace/ring_buffer.c).
const (
	missedEvents = 1 << 31
	missedStored = 1 << 30
	commitMask   = missedStored - 1
)

// Missed is what was lost before a page.
type Missed struct {
	Events uint64 // at least; 0 where the page says only that there were some
	Some   bool
}

// Kinds of an event by type_len; what is below is data of that many words of four bytes.
const (
	dataMost   = 28
	padding    = 29
	timeExtend = 30
	timeStamp  = 31

	deltaBits = 27
	stampBits = 59 // what a time stamp has; the rest is of the page
)

// split returns the time of a page, its events, and what was lost before it.
func (l *Layout) split(page []byte) (time uint64, data []byte, missed Missed, err error) {
	time, ok1 := l.Timestamp.Uint(page)
	word, ok2 := l.Commit.Uint(page)
	size := int(word & commitMask)
	if !ok1 || !ok2 || l.Data.Offset+size > len(page) {
		return 0, nil, missed, fmt.Errorf("%w: a page of %d bytes with %d bytes of events", ErrMalformed, len(page), size)
	}
	data = page[l.Data.Offset:]
	missed.Some = word&missedEvents != 0
	if missed.Some && word&missedStored != 0 && size+l.Commit.Size <= len(data) {
		missed.Events, _ = Field{Size: l.Commit.Size}.Uint(data[size:])
	}
	return time, data[:size], missed, nil
}

// events calls fn for each event of a page, with its time in nanoseconds; data is valid
// until fn returns. An event is
//
//	bits 0-4 type_len, 5-31 time_delta; array of words
func events(time uint64, data []byte, fn func(time uint64, data []byte) error) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errEvent(data)
		}
		head := binary.LittleEndian.Uint32(data)
		kind, delta := head&(1<<5-1), uint64(head>>5)
		length, start := int(kind)*4, 4 // of what stands behind the head, and where it begins
		if kind == 0 || kind > dataMost {
			if kind == padding && delta == 0 {
				return nil // nothing more on this page
			}
			if len(data) < 8 {
				return errEvent(data)
			}
			word := binary.LittleEndian.Uint32(data[4:])
			switch kind {
			case timeExtend:
				delta |= uint64(word) << deltaBits
				length = 4
			case timeStamp:
				time = time>>stampBits<<stampBits | uint64(word)<<deltaBits | delta
				delta, length = 0, 4
			case padding: // an event that was discarded
				length = int(min(word, sizeMost))
			default:
				length, start = int(min(word, sizeMost)), 8
			}
		}
		time += delta
		end := 4 + (length+3)&^3
		if end > len(data) || end < start {
			return errEvent(data)
		}
		if kind <= dataMost {
			if err := fn(time, data[start:end]); err != nil {
				return err
			}
		}
		data = data[end:]
	}
	return nil
}

func errEvent(data []byte) error {
	return fmt.Errorf("%w: an event that is cut, %d bytes before the end of its page", ErrMalformed, len(data))
}

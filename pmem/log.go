package pmem

import (
	"github.com/safevma/safevma/pmem/medium"
)

// position is a place in the log, in bytes and never wrapped, and the sequence there: what comes
// before is at most that.
type position struct {
	at       int64
	sequence uint64
}

func (g *geometry) logPlace(at int64) int64 { return logOffset + at%g.log }

// room is how many bytes of a part fit before the extent ends.
func (g *geometry) room(at int64) int64 { return g.extent - at%g.extent }

// need is how much of the log a record takes whose body has n bytes: the parts, and what is left
// of the last line.
func (g *geometry) need(at, n int64) int64 {
	from := at
	for {
		room := g.room(at) - headerSize
		if n <= room {
			return roundUp(at+headerSize+n, line) - from
		}
		n -= room
		at += headerSize + room
	}
}

// most is how long the body of a record may be. Only records that free may use the last extent:
// what is full can be emptied.
func (g *geometry) most(frees bool) int64 {
	n := g.log
	if !frees {
		n -= g.extent
	}
	// Wherever it begins: a record of one part more than there are extents has so many headers.
	return n - (n/g.extent+1)*headerSize - line
}

// part is a piece of a record on its way to the log.
type part struct{ header, body []byte }

// build makes the parts of a record. The record has room for the first header before its body;
// sum is the CRC of the body, for records of one part.
func (p *Pool) build(record []byte, sum uint32, at position, parts []part) []part {
	body := record[headerSize:]
	if room := p.room(at.at) - headerSize; int64(len(body)) > room {
		return p.buildChain(body, at, parts)
	}
	h := record[:headerSize]
	putHeader(h, len(record), p.super.generation, at.sequence+1, p.durable, 0, false)
	le.PutUint32(h, updateCRC(sum, h[4:]))
	return append(parts, part{h, body})
}

func (p *Pool) buildChain(body []byte, at position, parts []part) []part {
	crc := uint32(0)
	for i := 0; ; i++ {
		n := min(p.room(at.at)-headerSize, int64(len(body)))
		h := make([]byte, headerSize)
		more := n < int64(len(body))
		putHeader(h, int(headerSize+n), p.super.generation, at.sequence+1, p.durable, i, more)
		crc = chainCRC(crc, h, body[:n])
		if !more {
			le.PutUint32(h, crc)
		}
		parts = append(parts, part{h, body[:n]})
		if body = body[n:]; !more {
			return parts
		}
		at.at += headerSize + n
	}
}

// logReader reads records of one generation.
type logReader struct {
	m          *medium.Medium
	g          *geometry
	generation uint64
}

// record is one that was read.
type record struct {
	sequence, durable uint64
	body              []byte
	length            int64 // in the log
	torn              bool  // it began to be written, and is not valid
}

// read reads the chain that begins at a place. R4: it counts only if this generation wrote it.
// What is no record has no sequence; one that is torn has that of its header. One that is whole but
// for its generation is torn: with that of another opening its CRC would not be right.
func (l *logReader) read(at int64) (r record, err error) { return l.chain(at, nil) }

// lost reports whether a record of that sequence is at a place, whole but for its generation or its
// sequence: with those of another one its CRC would be wrong.
func (l *logReader) lost(at int64, sequence uint64) bool {
	r, err := l.chain(at, &sequence)
	return err == nil && r.length > 0
}

// chain reads a chain, of whose first header a sequence of this generation may be assumed.
func (l *logReader) chain(at int64, assumed *uint64) (r record, err error) {
	crc, from, foreign := uint32(0), at, false
	for i := 0; at-from < l.g.log; i++ {
		var h [headerSize]byte
		if err := l.m.Read(l.g.logPlace(at), h[:]); err != nil {
			return record{}, err
		}
		if i == 0 && assumed != nil {
			le.PutUint64(h[8:], l.generation)
			le.PutUint64(h[16:], *assumed)
		}
		n, more := int64(le.Uint32(h[4:])), le.Uint16(h[34:]) == partMore
		if le.Uint64(h[8:]) != l.generation {
			if i > 0 {
				return tornRecord(!foreign, r.sequence), nil
			}
			foreign = true
			le.PutUint64(h[8:], l.generation)
		}
		if n < headerSize || n%word != 0 || n > l.g.room(at) || int(le.Uint16(h[32:])) != i || more && n != l.g.room(at) {
			return tornRecord(!foreign, le.Uint64(h[16:])), nil
		}
		r.sequence, r.durable = le.Uint64(h[16:]), le.Uint64(h[24:])
		body := make([]byte, n-headerSize)
		if err := l.m.Read(l.g.logPlace(at)+headerSize, body); err != nil {
			return record{}, err
		}
		r.body = append(r.body, body...)
		crc = chainCRC(crc, h[:], body)
		at += n
		if !more {
			if valid := crc == le.Uint32(h[:]); !valid || foreign {
				return tornRecord(valid || !foreign, r.sequence), nil
			}
			r.length = roundUp(at, line) - from
			return r, nil
		}
	}
	return tornRecord(!foreign, r.sequence), nil
}

// tornRecord is what is no record. Where it was begun, it has the sequence that it says.
func tornRecord(torn bool, sequence uint64) record {
	if !torn {
		return record{}
	}
	return record{torn: true, sequence: sequence}
}

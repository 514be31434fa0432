package pmem

import (
	"encoding/hex"

	"github.com/safevma/safevma/pmem/medium"
)

// Info is what is known of an open pool without looking at its heap. Sizes are in bytes.
type Info struct {
	ID         string // in hex
	Version    int    // of the format
	Size       int64
	LogSize    int64
	LogExtent  int64
	SpanSize   int64
	Spans      int64 // that objects can be in
	Generation uint64
	Sequence   uint64 // of the last transaction that is durable
	LogUsed    int64
	Types      int
	Recovery   Recovery // of this opening
	Medium     medium.Info
}

// Info returns what is known of the pool.
func (p *Pool) Info() Info {
	p.turn.Lock()
	defer p.pass()
	defer p.turn.Unlock()
	tables := (p.spans + p.zoneMask) / (p.zoneMask + 1)
	return Info{ID: hex.EncodeToString(p.super.id[:]), Version: FormatVersion, Size: p.size, LogSize: p.log, LogExtent: p.extent,
		SpanSize: p.span, Spans: p.spans - tables, Generation: p.super.generation, Sequence: p.durable,
		LogUsed: p.head.at - p.tail.at, Types: p.types.count(), Recovery: p.recovery, Medium: p.m.Info()}
}

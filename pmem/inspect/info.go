package inspect

import (
	"fmt"
	"io"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// InfoSchema is the name of the JSON form of an [Info]. Within one version fields may be added.
const InfoSchema = "safevma.pool-info/v1"

// Info is what is known of a pool without looking at its objects. Sizes are in bytes.
type Info struct {
	Schema   string   `json:"schema"`
	ID       string   `json:"id"`
	Version  int      `json:"version"` // of the format
	Size     int64    `json:"size"`
	LogSize  int64    `json:"log_size"`
	Extent   int64    `json:"log_extent"`
	LogUsed  int64    `json:"log_used"`
	SpanSize int64    `json:"span_size"`
	Spans    int64    `json:"spans"` // that objects can be in
	Used     int64    `json:"spans_used"`
	Types    int      `json:"types"`
	Roots    int      `json:"roots"`
	Sequence uint64   `json:"sequence"` // of the last transaction
	Recovery Recovery `json:"recovery"` // that opening the pool would do
	Medium   Medium   `json:"medium"`
}

// Recovery is what opening a pool does with its log.
type Recovery struct {
	Records int    `json:"records"` // that are replayed
	Bytes   int64  `json:"bytes"`
	Torn    bool   `json:"torn"`            // the log ends in a record that is not whole
	Error   string `json:"error,omitempty"` // why the pool can't be opened
}

// Medium is what was found of where the pool is: see [medium.Info].
type Medium struct {
	Kind       string `json:"kind"`
	Domain     string `json:"domain"`
	EADR       bool   `json:"eadr"`
	Found      string `json:"found"`
	Flush      string `json:"flush"`
	Stream     string `json:"stream"`
	Unit       int    `json:"unit"`
	Atom       int    `json:"atom"`
	PageSize   int    `json:"page_size"`
	Node       int    `json:"node"`        // -1: not known
	ThreadNode int    `json:"thread_node"` // of the thread that asked
}

// Info returns what is known of the pool.
func (p *Pool) Info() *Info {
	i := p.r.Info()
	info := &Info{Schema: InfoSchema, ID: i.ID, Version: i.Version, Size: i.Size, LogSize: i.LogSize, Extent: i.LogExtent, LogUsed: i.LogUsed,
		SpanSize: i.SpanSize, Spans: i.Spans, Types: i.Types, Sequence: i.Sequence,
		Recovery: Recovery{Records: i.Recovery.Records, Bytes: i.Recovery.Bytes, Torn: i.Recovery.Torn}, Medium: describe(i.Medium)}
	if err := p.r.Log().Err; err != nil {
		info.Recovery.Error = err.Error()
	}
	if roots, err := p.r.Roots(); err == nil {
		info.Roots = len(roots)
	}
	for n := range p.r.Spans() {
		if s, err := p.r.Span(n); err != nil || s.Kind > pmem.SpanTable {
			info.Used++
		}
	}
	return info
}

func describe(i medium.Info) Medium {
	return Medium{i.Kind.String(), i.Domain, i.EADR, i.Found, i.Flush, i.Stream, i.Unit, i.Atom, i.PageSize, i.Node, i.ThreadNode}
}

// WriteText shows it to people.
func (i *Info) WriteText(w io.Writer) error {
	p := &lines{w: w}
	p.line("pool         %s, format %d, %d bytes", i.ID, i.Version, i.Size)
	p.line("medium       %s: %s", i.Medium.Kind, guarantee.Text(i.Medium.Found))
	p.line("persistence  %s", guarantee.Text(i.Medium.Domain))
	p.line("             flush: %s; stream: %s; unit %d, atom %d bytes", guarantee.Text(i.Medium.Flush), guarantee.Text(i.Medium.Stream), i.Medium.Unit, i.Medium.Atom)
	p.line("memory       node %s, this thread's node %s, pages of %d bytes", node(i.Medium.Node), node(i.Medium.ThreadNode), i.Medium.PageSize)
	p.line("log          %d bytes in extents of %d, %d in use, sequence %d", i.LogSize, i.Extent, i.LogUsed, i.Sequence)
	p.line("heap         %d spans of %d bytes, %d in use; %d types, %d roots", i.Spans, i.SpanSize, i.Used, i.Types, i.Roots)
	p.line("recovery     %s", i.Recovery)
	return p.err
}

func node(n int) string {
	if n < 0 {
		return "unknown"
	}
	return fmt.Sprint(n)
}

func (r Recovery) String() string {
	torn := ""
	if r.Torn {
		torn = "; the log ends in a record that is not whole, which is dropped"
	}
	switch {
	case r.Error != "":
		return "the pool can't be opened: " + guarantee.Text(r.Error)
	case r.Records == 0:
		return "none is needed" + torn
	}
	return fmt.Sprintf("opening replays %d records, %d bytes%s", r.Records, r.Bytes, torn)
}

package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/pmem"
)

// DumpSchema is the name of the form of a dump. Within one version fields may be added.
//
// In JSON each line is an object of its own, whose "kind" says which: "pool" ([Header]) in the first,
// then "type" ([Type]), "root" ([Root]), "object" ([Object]) and "damage" ([Damage]), and "end" ([End])
// in the last, so that a dump that was cut off is seen. The lines of a pool are the same each time,
// objects in order of their offsets.
const DumpSchema = "safevma.pool-dump/v1"

// Header begins a dump.
type Header struct {
	Schema   string `json:"schema"`
	ID       string `json:"id"`
	Version  int    `json:"version"` // of the format
	PoolSize int64  `json:"pool_size"`
	Sequence uint64 `json:"sequence"` // of the last transaction
}

// Damage is a part of the pool that could not be read.
type Damage struct {
	Offset int64  `json:"offset"`
	What   string `json:"what"`
}

// End ends a dump.
type End struct {
	Objects int64 `json:"objects"`
	Damages int64 `json:"damages"` // lines of damage, and of objects that are damaged
}

type dumper struct {
	p      *Pool
	json   bool
	w      *bufio.Writer
	buffer bytes.Buffer
	end    End
	err    error
}

// Dump writes all that the pool holds, a line each, as text or as JSON. It keeps one object in memory
// at a time. It returns how much is damaged.
func (p *Pool) Dump(ctx context.Context, w io.Writer, asJSON bool) (End, error) {
	d := &dumper{p: p, json: asJSON, w: bufio.NewWriterSize(w, 1<<16)}
	info := p.r.Info()
	d.header(Header{DumpSchema, info.ID, info.Version, info.Size, info.Sequence})
	for i := range p.types {
		d.typ(&p.types[i])
	}
	if err := d.roots(); err != nil {
		return d.end, err
	}
	for i := range p.r.Spans() {
		if err := ctx.Err(); err != nil {
			return d.end, err
		}
		d.span(i)
	}
	d.line("end", d.end, func(l *lines) { l.line("end: %d objects, %d damaged", d.end.Objects, d.end.Damages) })
	if err := d.w.Flush(); d.err == nil {
		d.err = err
	}
	return d.end, d.err
}

// line writes a line in the form that was asked for.
func (d *dumper) line(kind string, v any, text func(*lines)) {
	if d.err != nil {
		return
	}
	if !d.json {
		p := &lines{w: d.w}
		text(p)
		d.err = p.err
		return
	}
	d.buffer.Reset()
	enc := json.NewEncoder(&d.buffer)
	enc.SetEscapeHTML(false)
	if d.err = enc.Encode(v); d.err == nil { // an object that has a field
		_, d.err = fmt.Fprintf(d.w, "{\"kind\":%q,%s", kind, d.buffer.Bytes()[1:])
	}
}

func (d *dumper) header(h Header) {
	d.line("pool", h, func(l *lines) {
		l.line("pool %s: version %d, %d bytes, sequence %d", h.ID, h.Version, h.PoolSize, h.Sequence)
	})
}

func (d *dumper) typ(t *Type) {
	if t.Error != "" {
		d.end.Damages++
	}
	d.line("type", t, func(l *lines) { l.showType(t) })
}

func (d *dumper) roots() error {
	all, err := d.p.r.Roots()
	if err != nil {
		return err
	}
	for _, r := range all {
		root := Root{Name: guarantee.Text(r.Name), Ref: r.Ref.String(), Type: r.Type, TypeName: d.p.nameOf(r.Type)}
		if r.Err != nil {
			root.Error = r.Err.Error()
			d.end.Damages++
		}
		d.line("root", root, func(l *lines) { l.root(&root) })
	}
	return nil
}

func (d *dumper) span(i int64) {
	s, err := d.p.r.Span(i)
	if err != nil {
		d.damage(s.Entry, err)
		return
	}
	switch s.Kind {
	case pmem.SpanBig:
		d.object(d.p.r.Big(&s))
	case pmem.SpanSlots:
		for slot := range s.Slots {
			if s.Taken(slot) {
				d.object(d.p.r.Slot(&s, slot))
			}
		}
	}
}

func (d *dumper) damage(off int64, err error) {
	d.end.Damages++
	d.line("damage", Damage{off, err.Error()}, func(l *lines) { l.line("damage at %d: %s", off, guarantee.Text(err.Error())) })
}

func (d *dumper) object(o pmem.Object, err error) {
	if err == nil {
		err = o.Err
	}
	if err == nil && !o.Live {
		err = errors.New("the slot is taken, and its header says that it is free")
	}
	if err != nil {
		d.damage(o.Off, err)
		return
	}
	shown, _, _ := d.p.read(o, 0)
	d.end.Objects++
	if shown.Damaged() {
		d.end.Damages++
	}
	d.line("object", shown, func(l *lines) {
		shown.Via = "object"
		l.object(&shown)
	})
}

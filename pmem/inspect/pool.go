package inspect

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// Pool is a pool that is open to be looked at. It is used by one goroutine at a time.
type Pool struct {
	m     *medium.Medium
	r     *pmem.Reader
	types []Type
	byID  map[uint32]*Type
}

// Type is a type that a pool knows.
type Type struct {
	ID     uint32  `json:"id"`
	Name   string  `json:"name"` // empty where it is not known
	Size   int64   `json:"size"` // in bytes
	Ref    string  `json:"descriptor"`
	Fields []Field `json:"fields,omitempty"`
	Error  string  `json:"error,omitempty"` // why nothing more is known
	shape  *shape  //
	refs   []pmem.RefField
}

// Field is a field of a type: see [pmem.Field].
type Field struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`
	Off   int64  `json:"offset"`
	Size  int64  `json:"size"`
	Count int64  `json:"count,omitempty"`
	Type  string `json:"type,omitempty"`
}

// ErrInUse reports a pool that a program has open to write.
var ErrInUse = errors.New("a program has the pool open to write: end it, or let it close the pool, and try again")

// OpenFile opens the medium of a pool to be looked at. It is [ErrInUse] where a program writes it.
// Programs that want to write wait, or fail, until it is closed.
func OpenFile(name string) (*medium.Medium, error) {
	m, err := medium.Open(name, medium.Options{ReadOnly: true, Sparse: true})
	if errors.Is(err, medium.ErrLocked) {
		return nil, fmt.Errorf("%s: %w", name, ErrInUse)
	}
	return m, err
}

// Open opens a pool to be looked at. Close it.
func Open(name string) (*Pool, error) {
	m, err := OpenFile(name)
	if err != nil {
		return nil, err
	}
	p, err := New(m)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), m.Close())
	}
	return p, nil
}

// New looks at the pool on a medium, which the caller closes, or Close of the pool does.
func New(m *medium.Medium) (*Pool, error) {
	r, err := pmem.NewReader(m)
	if err != nil {
		return nil, err
	}
	p := &Pool{m: m, r: r, byID: map[uint32]*Type{}}
	return p, p.loadTypes()
}

// Close closes the medium.
func (p *Pool) Close() error { return p.m.Close() }

func (p *Pool) loadTypes() error {
	all, err := p.r.Types()
	if err != nil {
		return err
	}
	for _, stored := range all {
		p.types = append(p.types, p.load(stored))
	}
	for i := range p.types {
		p.byID[p.types[i].ID] = &p.types[i]
	}
	return nil
}

func (p *Pool) load(stored pmem.StoredType) Type {
	t := Type{ID: stored.ID, Size: stored.Size, Ref: stored.Ref.String()}
	info, err := p.r.Describe(stored)
	if err == nil {
		t.Name = info.Name
		for _, f := range info.Fields {
			t.Fields = append(t.Fields, Field(f))
		}
		if t.shape, err = newShape(info); err == nil {
			t.refs, err = info.RefFields()
		}
	}
	if err != nil {
		t.Error = err.Error()
	}
	return t
}

// nameOf is what a type is called; it is quoted by whoever shows it.
func (p *Pool) nameOf(typ uint32) string {
	switch t := p.byID[typ]; {
	case typ == pmem.TypeBytes:
		return "bytes"
	case typ == pmem.TypeDescriptor:
		return "descriptor"
	case t == nil || t.Name == "":
		return fmt.Sprintf("type %d", typ)
	default:
		return t.Name
	}
}

// Object is an object, as JSON shows it.
type Object struct {
	Ref       string          `json:"ref"` // offset and incarnation: "49216.1"
	Type      uint32          `json:"type"`
	TypeName  string          `json:"type_name"`
	Size      int64           `json:"size"` // in bytes
	Label     uint32          `json:"label"`
	Immutable bool            `json:"immutable"`
	Value     json.RawMessage `json:"value,omitempty"`      // by the descriptor of its type; bytes are in hex
	BadBlocks []int64         `json:"bad_blocks,omitempty"` // of 256 bytes, whose CRC is wrong
	Error     string          `json:"error,omitempty"`      // why there is no value
	Via       string          `json:"via,omitempty"`        // the root or the field that it was found by
	Depth     int             `json:"depth,omitempty"`      // references away from the root
	text      string
	address   pmem.Address
}

// read decodes an object; one that is damaged says so.
func (p *Pool) read(o pmem.Object, most int) (shown Object, content []byte, bad []int64) {
	shown = Object{Ref: o.String(), Type: o.Type, TypeName: p.nameOf(o.Type), Size: o.Size, Label: o.Label, Immutable: o.Immutable, address: o.Address}
	content, bad, err := p.r.Content(o, nil)
	if err == nil && o.Err != nil {
		err = o.Err
	}
	if err != nil {
		shown.Error = err.Error()
		return shown, nil, nil
	}
	shown.BadBlocks = bad
	t := p.byID[o.Type]
	if t != nil && t.shape != nil && t.Size == o.Size {
		shown.Value = t.shape.value(nil, content, true, 0)
		shown.text = string(t.shape.value(nil, content, false, most))
		return shown, content, bad
	}
	if t == nil && o.Type > pmem.TypeDescriptor {
		shown.Error = "its type is not known: its bytes are shown"
	}
	raw := &printer{json: true}
	raw.bytes(content)
	shown.Value = raw.b
	shown.text = showBytes(content, most)
	return shown, content, bad
}

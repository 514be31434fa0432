package pmem

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/safevma/safevma/pmem/medium"
)

// typeEntry is an entry of the table of types. They are filled in order. The one behind the last
// has no hash and no reference, and is valid all the same: zeros are damage.
//
//	 0  u64 first 8 bytes of the SHA-256 of the descriptor
//	 8  u64 reference to the descriptor, an object of type 2
//	16  u32 bytes of an object, u32 reserved: 0
//	..  reserved: 0
//	60  u32 checksum of the offset of the entry in the pool (u32) and all before it
type typeEntry struct {
	hash, ref uint64
	size      uint32
	bad       error // why it can't be read
}

func typePlace(i int) int64 { return typesOffset + int64(i)*typeEntrySize }

func (e typeEntry) encode(i int) []byte {
	b := make([]byte, typeEntrySize)
	le.PutUint64(b, e.hash)
	le.PutUint64(b[8:], e.ref)
	le.PutUint32(b[16:], e.size)
	le.PutUint32(b[60:], entryChecksum(typePlace(i), b[:60]))
	return b
}

// decodeTypeEntry reports whether there is one, or this is the end.
func decodeTypeEntry(i int, b []byte) (e typeEntry, ok bool, err error) {
	e = typeEntry{hash: le.Uint64(b), ref: le.Uint64(b[8:]), size: le.Uint32(b[16:])}
	if le.Uint32(b[60:]) != entryChecksum(typePlace(i), b[:60]) {
		return e, false, damaged(typePlace(i), "the CRC of entry %d of the table of types is wrong", i)
	}
	return e, e.ref != 0, nil
}

// registry is the types of a pool. It only grows.
type registry struct {
	lock    *medium.Mutex // who teaches the pool a type
	known   sync.Map      // from reflect.Type to *typed
	last    atomic.Pointer[typed]
	entries atomic.Pointer[[]typeEntry]
}

// load reads the table.
func (r *registry) load(p *Pool) {
	entries := readTypes(p.m)
	r.entries.Store(&entries)
}

// readTypes reads the table of types. Entries that are damaged are among the others: what is of
// other types can be read.
func readTypes(m interface{ Read(int64, []byte) error }) (all []typeEntry) {
	for i := range types {
		b := make([]byte, typeEntrySize)
		if err := m.Read(typePlace(i), b); err != nil {
			all = append(all, typeEntry{bad: err})
			continue
		}
		e, ok, err := decodeTypeEntry(i, b)
		if err == nil && !ok {
			break
		}
		e.bad = err
		all = append(all, e)
	}
	return all
}

func (r *registry) count() int {
	if all := r.entries.Load(); all != nil {
		return len(*all)
	}
	return 0
}

// seen returns a type that was looked up before.
func (r *registry) seen(t reflect.Type) *typed {
	if k := r.last.Load(); k != nil && k.rtype == t {
		return k
	}
	v, ok := r.known.Load(t)
	if !ok {
		return nil
	}
	k := v.(*typed)
	r.last.Store(k)
	return k
}

// find returns what the pool knows of a type.
func (r *registry) find(t reflect.Type) (typed, error) {
	if k := r.seen(t); k != nil {
		return *k, nil
	}
	l, err := layoutOf(t)
	if err != nil {
		return typed{}, err
	}
	if k, ok := r.lookUp(l); ok {
		return k, nil
	}
	if err := r.damage(); err != nil {
		return typed{}, fmt.Errorf("the pool does not know type %s: %w", l.name, err)
	}
	return typed{}, fmt.Errorf("%w: the pool has no object of type %s", ErrType, l.name)
}

// damage says why a type that is not found may be there all the same.
func (r *registry) damage() error {
	if all := r.entries.Load(); all != nil {
		for _, e := range *all {
			if e.bad != nil {
				return e.bad
			}
		}
	}
	return nil
}

func (r *registry) lookUp(l *layout) (typed, bool) {
	all := r.entries.Load()
	if all == nil {
		return typed{}, false
	}
	hash := textHash(l.text())
	for i, e := range *all {
		if e.bad == nil && e.hash == hash && int64(e.size) == l.size {
			k := &typed{l.rtype, l, uint32(i + firstType)}
			r.known.Store(l.rtype, k)
			return *k, true
		}
	}
	return typed{}, false
}

// learn is find, for a type that the pool gets to know where it does not yet. That is a
// transaction of its own: the type stays known whatever becomes of the one that asks.
func (r *registry) learn(p *Pool, t reflect.Type) (typed, error) {
	if k := r.seen(t); k != nil {
		return *k, nil
	}
	l, err := layoutOf(t)
	if err != nil {
		return typed{}, err
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if k, ok := r.lookUp(l); ok {
		return k, nil
	}
	return r.add(p, l)
}

func (r *registry) add(p *Pool, l *layout) (typed, error) {
	var all []typeEntry
	if known := r.entries.Load(); known != nil {
		all = *known
	}
	if err := r.damage(); err != nil {
		return typed{}, fmt.Errorf("type %s can't be added: %w", l.name, err)
	}
	if len(all) == types {
		return typed{}, fmt.Errorf("%w: a pool has %d types at most", ErrFull, types)
	}
	e := typeEntry{hash: textHash(l.text()), size: uint32(l.size)}
	err := p.updateWithin(func(tx *Tx) error {
		if err := unchanged(tx, all, l); err != nil {
			return err
		}
		ref, err := allocBytes(tx, typeDescriptor, l.text(), flagImmutable)
		if err != nil {
			return err
		}
		e.ref = ref.word
		tx.putEntry(typePlace(len(all)), e.encode(len(all)))
		if next := len(all) + 1; next < types {
			tx.putEntry(typePlace(next), typeEntry{}.encode(next))
		}
		return nil
	})
	if err != nil {
		return typed{}, err
	}
	all = append(all[:len(all):len(all)], e)
	r.entries.Store(&all)
	k, _ := r.lookUp(l)
	return k, nil
}

// unchanged reports a type of the same name and another layout.
func unchanged(tx *Tx, all []typeEntry, l *layout) error {
	for i, e := range all {
		text, err := descriptorText(tx, e)
		if err != nil {
			return fmt.Errorf("type %d: %w", i+firstType, err)
		}
		old, err := ParseType(text)
		if err != nil {
			return fmt.Errorf("type %d: %w", i+firstType, err)
		}
		if old.Name == l.name {
			return fmt.Errorf("%w %s changed: %s: give the new one a new name", ErrLayout, l.name, old.difference(l))
		}
	}
	return nil
}

// descriptorText reads the descriptor of a type.
func descriptorText(tx *Tx, e typeEntry) ([]byte, error) {
	w := want{typ: typeDescriptor, purpose: "descriptors"}
	h, err := tx.headerOf(e.ref, &w)
	if err != nil {
		return nil, err
	}
	text := make([]byte, h.size)
	return text, tx.get(e.ref, &w, 0, text)
}

// putEntry changes an entry of a table.
func (tx *Tx) putEntry(off int64, b []byte) {
	e := tx.find(off)
	if e == nil {
		at := tx.put(off, int64(len(b)))
		e = tx.edit(edit{off: off, kind: editEntry, at: at})
	}
	copy(tx.record[e.at:], b)
}

// getEntry copies an entry of a table, as the transaction sees it.
func (tx *Tx) getEntry(off int64, b []byte) error {
	if e := tx.find(off); e != nil {
		copy(b, tx.record[e.at:])
		return nil
	}
	stripe := tx.p.stripes.of(off)
	version, err := tx.begin(stripe)
	if err != nil {
		return err
	}
	v, err := tx.view(off, int64(len(b)))
	copy(b, v)
	if !tx.done(stripe, version) {
		return tx.conflicted()
	}
	return err
}

package pmem

import "strings"

// BytesName is what descriptors of types call [Bytes], where a reference is to it.
const BytesName = "github.com/safevma/safevma/pmem.Bytes"

// RefField is a field of a stored type that holds references: one, or as many as the arrays that it
// is in have elements.
type RefField struct {
	Path string
	Off  int64  // of the first one, in bytes
	Type string // of what it refers to
	dims []dimension
}

// dimension is an array that a field is in.
type dimension struct{ count, stride int64 }

// mostDimensions bounds how deep arrays are in each other.
const mostDimensions = 64

// RefFields returns the fields that hold references. A descriptor that can't be of a type is an
// [ErrDamage]. All references of all fields fit into an object of the type.
func (t *TypeInfo) RefFields() (all []RefField, err error) {
	arrays := map[string]Field{}
	refs := int64(0)
	for _, f := range t.Fields {
		if f.Kind == "array" {
			arrays[f.Path] = f
		}
		if f.Kind != "ref" || inEmpty(arrays, f.Path) {
			continue
		}
		r := RefField{Path: f.Path, Off: f.Off, Type: f.Type}
		n, err := r.dimensions(t, f, arrays)
		if err != nil {
			return nil, err
		}
		if refs += n; refs > t.Size/word {
			return nil, damaged(f.Off, "type %q has more references than fit in %d bytes", t.Name, t.Size)
		}
		all = append(all, r)
	}
	return all, nil
}

// inEmpty reports whether a field is in an array without elements.
func inEmpty(arrays map[string]Field, path string) bool {
	i := strings.LastIndex(path, "[]")
	return i >= 0 && arrays[path[:i]].Kind == "array" && arrays[path[:i]].Count == 0
}

// dimensions finds the arrays that a field is in, and returns how many references it holds.
func (r *RefField) dimensions(t *TypeInfo, f Field, arrays map[string]Field) (n int64, err error) {
	n = 1
	end := f.Off + word
	for at := 0; ; at += 2 {
		i := strings.Index(f.Path[at:], "[]")
		if i < 0 {
			break
		}
		at += i
		a, ok := arrays[f.Path[:at]]
		if !ok || a.Count == 0 || a.Size%a.Count != 0 || a.Size/a.Count < word || len(r.dims) == mostDimensions {
			return 0, damaged(f.Off, "type %q: field %q is in no array that can be", t.Name, f.Path)
		}
		d := dimension{a.Count, a.Size / a.Count}
		if n > t.Size/d.count {
			return 0, damaged(f.Off, "type %q: field %q has more elements than fit in %d bytes", t.Name, f.Path, t.Size)
		}
		n, end = n*d.count, end+(d.count-1)*d.stride
		r.dims = append(r.dims, d)
	}
	if f.Size != word || f.Off%word != 0 || end > t.Size {
		return 0, damaged(f.Off, "type %q: field %q, a reference, has %d bytes at %d", t.Name, f.Path, f.Size, f.Off)
	}
	return n, nil
}

// Each calls a function with each reference that the field holds in the bytes of an object of the
// type, and with its offset in them.
func (r *RefField) Each(content []byte, fn func(off int64, a Address)) {
	if len(r.dims) == 0 {
		r.one(content, r.Off, fn)
		return
	}
	at := make([]int64, len(r.dims))
	for {
		off := r.Off
		for i, d := range r.dims {
			off += at[i] * d.stride
		}
		r.one(content, off, fn)
		i := len(at) - 1
		for at[i]++; at[i] == r.dims[i].count; at[i]++ {
			if at[i] = 0; i == 0 {
				return
			}
			i--
		}
	}
}

func (r *RefField) one(content []byte, off int64, fn func(off int64, a Address)) {
	if off+word <= int64(len(content)) {
		fn(off, AddressOf(le.Uint64(content[off:])))
	}
}

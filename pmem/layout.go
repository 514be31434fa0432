package pmem

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// layout is how a type lies in memory, here and in a pool.
type layout struct {
	rtype  reflect.Type
	name   string
	size   int64
	fields []Field
	data   [][2]int64 // begin and end of what is no padding
}

// Field is a field of a type, or of a type in it. Arrays and structs are fields too, before those
// in them.
type Field struct {
	Path  string // "Owner.Name", "Entries[]"
	Kind  string // "uint64", "struct", "array", "ref"
	Off   int64  // of the first one, in bytes
	Size  int64  // of one
	Count int64  // of an array
	Type  string // of what a reference refers to
}

var layouts sync.Map // from reflect.Type to *layout or error

// layoutOf returns the layout of a type, or why it can't be in a pool.
func layoutOf(t reflect.Type) (*layout, error) {
	v, ok := layouts.Load(t)
	if !ok {
		l, err := newLayout(t)
		v = l
		if err != nil {
			v = err
		}
		layouts.Store(t, v)
	}
	if err, ok := v.(error); ok {
		return nil, err
	}
	return v.(*layout), nil
}

// Register checks that a type can be in a pool: it is plain data, of the same layout everywhere.
// Objects of a type that was not registered are checked when they are first used.
func Register[T any]() error {
	_, err := layoutOf(reflect.TypeFor[T]())
	return err
}

func newLayout(t reflect.Type) (*layout, error) {
	if t.Name() == "" && t.Kind() == reflect.Struct {
		return nil, fmt.Errorf("%w %v: it has no name", ErrLayout, t)
	}
	l := &layout{rtype: t, name: typeName(t), size: int64(t.Size())}
	if err := l.add("", t, 0); err != nil {
		return nil, fmt.Errorf("%w %v: %w", ErrLayout, t, err)
	}
	l.data = merge(l.data)
	if len(l.name) > mostName {
		return nil, fmt.Errorf("%w %v: its name has more than %d bytes", ErrLayout, t, mostName)
	}
	return l, nil
}

const mostName = 1 << 10

func typeName(t reflect.Type) string {
	if t.PkgPath() == "" {
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}

// refersTo is what a Ref implements.
type refersTo interface{ refersTo() reflect.Type }

var reference = reflect.TypeFor[refersTo]()

// add walks a type at an offset.
func (l *layout) add(path string, t reflect.Type, off int64) error {
	f := Field{Path: path, Kind: t.Kind().String(), Off: off, Size: int64(t.Size())}
	if t.Implements(reference) {
		f.Kind = "ref"
		f.Type = typeName(reflect.Zero(t).Interface().(refersTo).refersTo())
		l.leaf(f)
		return nil
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16,
		reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		l.leaf(f)
		return nil
	case reflect.Struct:
		return l.addStruct(f, t)
	case reflect.Array:
		return l.addArray(f, t)
	}
	return refused(path, t)
}

// refused says why a type can't be in a pool.
func refused(path string, t reflect.Type) error {
	if path == "" {
		path = "the type"
	}
	why := "it holds a pointer, which means nothing after a restart"
	switch t.Kind() {
	case reflect.Int, reflect.Uint, reflect.Uintptr:
		why = "its size is not the same everywhere: use one with a size in its name"
	}
	return fmt.Errorf("%s is %s %v: %s", path, article(t.Kind()), t, why)
}

func article(k reflect.Kind) string {
	if strings.ContainsRune("aeiou", rune(k.String()[0])) {
		return "an"
	}
	return "a"
}

func (l *layout) addStruct(f Field, t reflect.Type) error {
	l.fields = append(l.fields, f)
	for i := range t.NumField() {
		sf := t.Field(i)
		path := sf.Name
		if f.Path != "" {
			path = f.Path + "." + sf.Name
		}
		if err := l.add(path, sf.Type, f.Off+int64(sf.Offset)); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) addArray(f Field, t reflect.Type) error {
	f.Count = int64(t.Len())
	l.fields = append(l.fields, f)
	if t.Len() == 0 {
		return nil
	}
	first := len(l.data)
	if err := l.add(f.Path+"[]", t.Elem(), f.Off); err != nil {
		return err
	}
	return l.repeat(first, int64(t.Elem().Size()), f.Count)
}

// mostRanges bounds what is kept of arrays of structs with padding.
const mostRanges = 1 << 12

// repeat adds the data of the elements of an array behind the first one.
func (l *layout) repeat(first int, size, n int64) error {
	one := merge(l.data[first:])
	l.data = append(l.data[:first], one...)
	if len(one) == 1 && one[0][1]-one[0][0] == size {
		l.data[first][1] += (n - 1) * size
		return nil
	}
	if int64(len(one))*n > mostRanges {
		return fmt.Errorf("an array of %d elements with padding between them: add fields where it is", n)
	}
	for i := int64(1); i < n; i++ {
		for _, r := range one {
			l.data = append(l.data, [2]int64{r[0] + i*size, r[1] + i*size})
		}
	}
	return nil
}

// merge joins ranges that touch.
func merge(all [][2]int64) (merged [][2]int64) {
	for _, r := range all {
		if n := len(merged); n > 0 && merged[n-1][1] == r[0] {
			merged[n-1][1] = r[1]
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// leaf adds a field with bytes of its own.
func (l *layout) leaf(f Field) {
	l.fields = append(l.fields, f)
	l.data = append(l.data, [2]int64{f.Off, f.Off + f.Size})
}

package damon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Interface is the sysfs interface as it was read.
type Interface struct {
	Kdamonds []Kdamond `file:"kdamonds,nr_kdamonds" json:"kdamonds"`
	// Capabilities are the files that not all kernels have, in the order of the tree.
	Capabilities []Capability `file:"-" json:"capabilities"`
	// Unknown are files that this package does not know: of a newer kernel.
	Unknown []string `file:"-" json:"unknown_files"`
}

// Capability is a file or directory that not all kernels have.
type Capability struct {
	// File is its place, with N for numbers.
	File  string `json:"file"`
	Since string `json:"since"` // the version of Linux that brought it
	// Present is nil where nothing can tell: no directory exists that it would be in.
	Present *bool `json:"present"`
}

// tries: how often a tree is read that changes meanwhile.
const tries = 3

// Read reads the whole interface. It takes root. Errors name the file, and wrap
// [ErrAbsent], [ErrDenied], [ErrMalformed] or [ErrIncomplete].
func (f FS) Read() (*Interface, error) {
	if err := f.tree.stat(f.Admin()); err != nil {
		return nil, failed(f.Admin(), err)
	}
	var in *Interface
	var err error
	for range tries {
		r := newReader(f, f.Admin())
		in = &Interface{}
		err = r.object("", reflect.ValueOf(in).Elem())
		in.Capabilities, in.Unknown = r.capabilities(), r.unknown
		if err != nil && !errors.Is(err, ErrIncomplete) || err == nil && !in.ending() {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

// ending reports whether a kdamond has ended between the readings of its state and of its thread: it is
// on, and has none.
func (in *Interface) ending() bool {
	return slices.ContainsFunc(in.Kdamonds, func(k Kdamond) bool { return k.State == On && k.PID == -1 })
}

// reader reads directories into structs.
type reader struct {
	fs      FS
	root    string
	present map[string]bool // by pattern
	unknown []string
}

func newReader(f FS, root string) *reader {
	return &reader{fs: f, root: root, present: map[string]bool{}, unknown: []string{}}
}

// tag is what the field of a struct says about its file.
type tag struct {
	name, count     string
	list, optional  bool
	since, mode     string
	usual           string // what the kernel does without the file; "" is 0, N or nothing
	scalar, pointer bool
}

func tagOf(field reflect.StructField) (t tag, ok bool) {
	text := field.Tag.Get("file")
	if text == "" || text == "-" {
		return t, false
	}
	words := strings.Split(text, ",")
	t = tag{name: words[0], since: field.Tag.Get("since"), mode: field.Tag.Get("mode"), usual: field.Tag.Get("usual"),
		pointer: field.Type.Kind() == reflect.Pointer}
	if t.optional = t.pointer || words[len(words)-1] == "optional"; t.optional && !t.pointer {
		words = words[:len(words)-1]
	}
	if t.list = len(words) > 1; t.list {
		t.count = words[1]
	}
	kind := field.Type
	if t.pointer {
		kind = kind.Elem()
	}
	t.scalar = !t.list && kind.Kind() != reflect.Struct
	return t, true
}

// object reads a directory.
func (r *reader) object(dir string, v reflect.Value) error {
	known := map[string]bool{}
	if err := r.fields(dir, v, known); err != nil {
		return err
	}
	return r.others(dir, known)
}

func (r *reader) fields(dir string, v reflect.Value, known map[string]bool) error {
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous {
			if err := r.fields(dir, v.Field(i), known); err != nil {
				return err
			}
			continue
		}
		t, ok := tagOf(v.Type().Field(i))
		if !ok {
			continue
		}
		known[t.name] = true
		if err := r.field(dir, t, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) field(dir string, t tag, v reflect.Value) error {
	path := filepath.Join(dir, t.name)
	if t.optional {
		present, err := r.fs.exists(filepath.Join(r.root, path))
		if err != nil {
			return err
		}
		r.present[pattern(path)] = present
		if !present {
			return nil
		}
	}
	if t.pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case t.list:
		return r.list(path, t.count, v)
	case t.scalar:
		return r.scalar(path, v)
	}
	return r.object(path, v)
}

func (r *reader) scalar(path string, v reflect.Value) error {
	full := filepath.Join(r.root, path)
	text, err := r.fs.readText(full)
	if errors.Is(err, ErrAbsent) {
		return &Error{full, ErrIncomplete}
	}
	if err != nil {
		return err
	}
	if err := parse(text, v); err != nil {
		return &Error{full, err}
	}
	return nil
}

// list reads numbered directories: as many as a file says, or where there is no such file,
// those that there are.
func (r *reader) list(dir, count string, v reflect.Value) error {
	names, err := r.numbers(dir, count)
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), 0, 0)
	for _, n := range names {
		one := reflect.New(v.Type().Elem()).Elem()
		if err := r.object(filepath.Join(dir, strconv.Itoa(n)), one); err != nil {
			return err
		}
		list = reflect.Append(list, one)
	}
	v.Set(list)
	return nil
}

func (r *reader) numbers(dir, count string) ([]int, error) {
	full := filepath.Join(r.root, dir)
	names, err := r.fs.tree.list(full)
	if err != nil {
		return nil, missing(full, err)
	}
	var there []int
	for _, name := range names {
		n, err := strconv.Atoi(name)
		switch {
		case err == nil && n >= 0 && name == strconv.Itoa(n):
			there = append(there, n)
		case count != "*" && name != count:
			r.unknown = append(r.unknown, filepath.Join(dir, name))
		}
	}
	slices.Sort(there)
	if count == "*" {
		return there, nil
	}
	var says int
	if err := r.scalar(filepath.Join(dir, count), reflect.ValueOf(&says).Elem()); err != nil {
		return nil, err
	}
	if says != len(there) || says > 0 && there[says-1] != says-1 {
		return nil, &Error{full, fmt.Errorf("%w: %s says %d, there are %d", ErrIncomplete, count, says, len(there))}
	}
	return there, nil
}

// others notes what is in a directory and not known.
func (r *reader) others(dir string, known map[string]bool) error {
	full := filepath.Join(r.root, dir)
	names, err := r.fs.tree.list(full)
	if err != nil {
		return missing(full, err)
	}
	for _, name := range names {
		// A list that is not in a directory of its own has known numbers.
		_, err := strconv.Atoi(name)
		if !known[name] && (err != nil || !known["."]) {
			r.unknown = append(r.unknown, filepath.Join(dir, name))
		}
	}
	return nil
}

// missing is for a directory that was there before.
func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{path, ErrIncomplete}
	}
	return failed(path, err)
}

// pattern replaces the numbers in a path.
func pattern(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, err := strconv.Atoi(part); err == nil {
			parts[i] = "N"
		}
	}
	return strings.Join(parts, "/")
}

func (r *reader) capabilities() []Capability {
	return r.walk("", reflect.TypeFor[Interface](), nil)
}

// walk lists what is optional in a type, and below it.
func (r *reader) walk(dir string, of reflect.Type, list []Capability) []Capability {
	for i := range of.NumField() {
		t, ok := tagOf(of.Field(i))
		if !ok {
			continue
		}
		path, inner := filepath.Join(dir, t.name), of.Field(i).Type
		if t.optional {
			c := Capability{File: path, Since: t.since}
			if present, ok := r.present[path]; ok {
				c.Present = &present
			}
			list = append(list, c)
		}
		if inner.Kind() == reflect.Pointer || t.list {
			inner = inner.Elem()
		}
		if t.list {
			path = filepath.Join(path, "N")
		}
		if inner.Kind() == reflect.Struct {
			list = r.walk(path, inner, list)
		}
	}
	return list
}

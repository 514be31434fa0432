package layout

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

const refresh = "then run safevma-vet -layout.update"

// lock compares the layout of named types with the lock file, or writes it.
func (c *checker) lock(uses []use) error {
	file, dir := c.source()
	if file == nil {
		return nil
	}
	name := filepath.Join(dir, File)
	now := c.locked(uses)
	c.distinct(now)
	if update {
		return write(name, c.fields(now))
	}
	was, exists, err := read(name)
	switch {
	case err != nil:
		c.say(file.Package, fmt.Sprintf("%s can't be read: %v", File, err))
	case exists:
		c.compare(now, group(was))
	case require && len(now) > 0:
		c.say(file.Package, fmt.Sprintf("the package keeps types in pools (%s) and has no %s: run safevma-vet -layout.update, and commit it", c.name(now[0].typ), File))
	}
	return nil
}

// locked returns the uses whose layout is locked: named types of fixed layout, outside of
// tests, by name.
func (c *checker) locked(uses []use) []use {
	var list []use
	for _, u := range uses {
		if _, named := types.Unalias(u.typ).(*types.Named); named && !u.test && !open(u.typ) && len(refused(u.typ)) == 0 {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b use) int { return cmp.Compare(c.name(a.typ), c.name(b.typ)) })
	return list
}

// distinct finds types of one name, declared in functions.
func (c *checker) distinct(uses []use) {
	for i := 1; i < len(uses); i++ {
		if name := c.name(uses[i].typ); name == c.name(uses[i-1].typ) {
			c.say(c.place(uses[i]), fmt.Sprintf("another type %s is kept in pools, too, and pools know types by name: rename one", name))
		}
	}
}

func (c *checker) fields(uses []use) []field {
	var list []field
	for _, u := range uses {
		list = append(list, c.measure(u.typ)...)
	}
	return list
}

func group(fields []field) map[string][]field {
	types := map[string][]field{}
	for _, f := range fields {
		types[f.typ] = append(types[f.typ], f)
	}
	return types
}

func (c *checker) compare(now []use, was map[string][]field) {
	for _, u := range now {
		name := c.name(u.typ)
		old, ok := was[name]
		delete(was, name)
		if !ok {
			c.say(c.place(u), fmt.Sprintf("%s is kept in pools and is not in %s: if it is new, run safevma-vet -layout.update", name, File))
		} else if changes := diff(old, c.measure(u.typ)); len(changes) > 0 {
			c.say(c.place(u), fmt.Sprintf("the layout of %s changed: %s. Pools that exist have the old one: keep it, or make a new type and convert; %s",
				name, strings.Join(changes, "; "), refresh))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		c.gone(name)
	}
}

// gone: a type is in the lock file and no longer used. It is reported where it is declared,
// if it still is.
func (c *checker) gone(name string) {
	file, _ := c.source()
	pos := file.Package
	if obj := c.pass.Pkg.Scope().Lookup(name); obj != nil {
		pos = obj.Pos()
	}
	c.say(pos, fmt.Sprintf("%s is in %s and no longer kept in pools here, or has become another kind of type: if pools that exist don't need it, %s", name, File, strings.TrimPrefix(refresh, "then ")))
}

// place is a type's declaration, or its first use if it is declared elsewhere.
func (c *checker) place(u use) token.Pos {
	obj := types.Unalias(u.typ).(*types.Named).Obj()
	if obj.Pkg() == c.pass.Pkg {
		return obj.Pos()
	}
	return u.pos
}

// diff says what became of each field.
func diff(was, now []field) []string {
	var list []string
	for _, old := range was {
		if i := at(now, old.path); i < 0 {
			list = append(list, missing(old, was, now))
		} else {
			list = append(list, changes(old, now[i])...)
		}
	}
	for _, f := range now {
		if at(was, f.path) < 0 && !renamed(f, was, now) {
			list = append(list, fmt.Sprintf("%s is new (%s at %d)", f.path, f.kind, f.offset))
		}
	}
	return list
}

func at(list []field, path string) int {
	return slices.IndexFunc(list, func(f field) bool { return f.path == path })
}

// missing tells a field that was removed from one with a new name.
func missing(old field, was, now []field) string {
	for _, f := range now {
		if sameBytes(f, old) && at(was, f.path) < 0 {
			return fmt.Sprintf("%s is now called %s", old.path, f.path)
		}
	}
	return fmt.Sprintf("%s is gone (%s at %d)", old.path, old.kind, old.offset)
}

func renamed(f field, was, now []field) bool {
	return slices.ContainsFunc(was, func(old field) bool { return sameBytes(f, old) && at(now, old.path) < 0 })
}

func sameBytes(a, b field) bool {
	return a.kind == b.kind && a.offset == b.offset && a.size == b.size
}

func changes(old, f field) []string {
	name := f.path
	if name == whole {
		name = "it"
	}
	var list []string
	if old.offset != f.offset {
		list = append(list, fmt.Sprintf("%s moved from offset %d to %d", f.path, old.offset, f.offset))
	}
	if old.kind != f.kind {
		list = append(list, fmt.Sprintf("%s is %s, was %s", name, f.kind, old.kind))
	}
	if old.size != f.size && old.kind == f.kind {
		list = append(list, fmt.Sprintf("%s has %d bytes, had %d", name, f.size, old.size))
	}
	return list
}

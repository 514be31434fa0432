package fsck

import (
	"errors"

	"github.com/safevma/safevma/pmem"
)

// typeState is what is known of a type.
type typeState struct {
	pmem.StoredType
	name string
	refs []pmem.RefField
	// known: there is a descriptor, and what it says can be. Where not, that is said elsewhere.
	known bool
}

// loadTypes reads the table of types. References to descriptors are followed with the others.
func (c *checker) loadTypes() {
	c.types, c.names = map[uint32]*typeState{}, map[string]uint32{pmem.BytesName: pmem.TypeBytes}
	all, err := c.r.Types()
	if err != nil {
		c.fail(Types, at(0), err)
		c.partial, c.hidden = true, true
		return
	}
	c.report.Counts.Types = len(all)
	for _, t := range all {
		s := &typeState{StoredType: t}
		c.types[t.ID] = s
		c.table = append(c.table, s)
		if t.Err != nil {
			c.fail(Types, at(t.Entry), t.Err)
		} else {
			c.describe(s)
		}
		if t.Reserved {
			c.say(Warning, Reserved, at(t.Entry), "reserved bytes of the entry of type %d are not 0", t.ID)
		}
		c.partial = c.partial || !s.known
	}
}

// describe reads the descriptor of a type. What is wrong with the object that it is in, or with the
// reference to it, is found where all objects and references are checked.
func (c *checker) describe(s *typeState) {
	info, err := c.r.Describe(s.StoredType)
	var description *pmem.DescriptionError
	if errors.As(err, &description) {
		c.say(Error, Types, at(description.Off), "type %d: %s", s.ID, description.What)
	}
	if err != nil {
		return
	}
	s.name = info.Name
	if other, ok := c.names[info.Name]; ok {
		c.say(Error, Types, at(s.Entry), "types %d and %d have the same name, %q", other, s.ID, info.Name)
		return
	}
	if s.refs, err = info.RefFields(); err != nil {
		c.fail(Types, at(s.Entry), err)
		return
	}
	c.names[info.Name] = s.ID
	s.known = true
}

// holdsRefs reports whether an object may hold references, as far as is known.
func (c *checker) holdsRefs(typ uint32) bool {
	if typ == pmem.TypeBytes || typ == pmem.TypeDescriptor {
		return false
	}
	s := c.types[typ]
	return s == nil || !s.known || len(s.refs) > 0
}

// typeOf holds an object against its type, and reports whether there is nothing to say.
func (c *checker) typeOf(p place, o *pmem.Object) bool {
	if o.Type == pmem.TypeBytes || o.Type == pmem.TypeDescriptor {
		return true
	}
	s := c.types[o.Type]
	switch {
	case s != nil && s.known && s.Size == o.Size:
		return true
	case s == nil && !c.partial:
		c.say(Error, Type, p, "the object is of type %d, which the pool does not know", o.Type)
	case s != nil && s.known:
		c.say(Error, Type, p, "the object has %d bytes, and its type %d (%q) has %d", o.Size, o.Type, s.name, s.Size)
	default: // what is wrong with the type was said
		c.hidden = true
		return true
	}
	return false
}

// roots follows the roots, and the references of the table of types.
func (c *checker) roots() {
	for _, t := range c.table {
		if t.Err == nil {
			c.follow(source{off: t.Entry, what: "the table of types"}, t.Ref, pmem.TypeDescriptor)
		}
	}
	all, err := c.r.Roots()
	if err != nil {
		c.fail(Root, at(0), err)
		c.hidden = true
	}
	names := map[string]bool{}
	for _, root := range all {
		if root.Err != nil {
			c.fail(Root, at(root.Entry), root.Err)
			c.hidden = true
			continue
		}
		c.report.Counts.Roots++
		if root.Reserved {
			c.say(Warning, Reserved, at(root.Entry), "reserved bytes of root %q are not 0", root.Name)
		}
		if names[root.Name] || root.Name == "" {
			c.say(Error, Root, at(root.Entry), "root %q has a name that is empty, or that another one has", root.Name)
		}
		names[root.Name] = true
		if root.Type != pmem.TypeBytes && c.types[root.Type] == nil && !c.partial {
			c.say(Error, Root, at(root.Entry), "root %q is of type %d, which the pool does not know", root.Name, root.Type)
		}
		c.follow(source{off: root.Entry, what: "root", name: root.Name}, root.Ref, root.Type)
	}
}

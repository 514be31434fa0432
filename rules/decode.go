package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// decoder reads YAML nodes strictly and collects every fault. Its methods return zero
// values for what is faulty, so that one run finds all faults.
type decoder struct {
	file   string
	source *source
	rule   string // id of the rule that is read
	faults []*Error
}

func (d *decoder) fail(p position, format string, args ...any) {
	d.faults = append(d.faults, &Error{File: d.file, Line: p.line, Column: p.column, Rule: d.rule,
		Reason: printable(fmt.Sprintf(format, args...))})
}

// complain reports faults of an expression that stands in a scalar.
func (d *decoder) complain(n *yaml.Node, complaints []complaint) {
	place := d.source.locate(n)
	for _, c := range complaints {
		d.fail(place(c.offset), "%s", c.reason)
	}
}

// object is a mapping whose keys are known names.
type object struct {
	d      *decoder
	node   *yaml.Node
	what   string
	fields map[string]*yaml.Node
}

// object reads a mapping that may have the given keys.
func (d *decoder) object(n *yaml.Node, what string, keys ...string) object {
	o := object{d: d, node: n, what: what, fields: map[string]*yaml.Node{}}
	for key, value := range d.pairs(n, what) {
		switch {
		case !slices.Contains(keys, key.Value):
			d.fail(at(key), "%s has no key %q: %s", what, key.Value, oneOf(key.Value, keys))
		case o.fields[key.Value] != nil:
			d.fail(at(key), "the key %q is there twice: keep one", key.Value)
		default:
			o.fields[key.Value] = value
		}
	}
	return o
}

// pairs iterates over a mapping.
func (d *decoder) pairs(n *yaml.Node, what string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.fail(at(n), "%s is %s: make it a mapping of keys to values", what, kindOf(n))
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Kind != yaml.ScalarNode {
				d.fail(at(key), "a key of %s is %s: write a name", what, kindOf(key))
			} else if !yield(key, n.Content[i+1]) {
				return
			}
		}
	}
}

// items returns the elements of a list.
func (d *decoder) items(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(at(n), "%s is %s: make it a list", what, kindOf(n))
		return nil
	}
	return n.Content
}

// few returns the elements of a list inside a rule.
func (d *decoder) few(n *yaml.Node, what string) []*yaml.Node {
	items := d.items(n, what)
	if len(items) > maxItems {
		d.fail(at(items[maxItems]), "%s has more than %d elements: split the rule", what, maxItems)
		return nil
	}
	return items
}

// required returns the field, or complains that it is missing.
func (o *object) required(key string) *yaml.Node {
	n := o.fields[key]
	if n == nil && o.node.Kind == yaml.MappingNode {
		o.d.fail(at(o.node), "%s has no %q: add it", o.what, key)
	}
	return n
}

// text returns a field that must be there and not be empty.
func (o *object) text(key string) string {
	n := o.required(key)
	if n == nil {
		return ""
	}
	s := o.d.scalar(n, key)
	if s == "" && n.Kind == yaml.ScalarNode {
		o.d.fail(at(n), "%q is empty: fill it in", key)
	}
	return s
}

// optional returns a field that may be missing.
func (o *object) optional(key string) string {
	if n := o.fields[key]; n != nil {
		return o.d.scalar(n, key)
	}
	return ""
}

func (o *object) boolean(key string) bool {
	n := o.fields[key]
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		o.d.fail(at(n), "%q is %s: write true or false", key, kindOf(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// scalar returns text without blanks around it; numbers and so on are taken as they are
// written.
func (d *decoder) scalar(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.fail(at(n), "%s is %s: write text", what, kindOf(n))
		return ""
	}
	// An escape such as "\x1b" can put in what the file itself may not have.
	if i := strings.IndexFunc(n.Value, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); i >= 0 {
		d.fail(at(n), "%s has the control character %q: remove it", what, n.Value[i:i+1])
	}
	return strings.TrimSpace(n.Value)
}

// choice returns a field that must be one of some names.
func choice[T ~string](o *object, key string, names []T) T {
	s := T(o.text(key))
	if s != "" && !slices.Contains(names, s) {
		o.d.fail(at(o.fields[key]), "%s %q is not known: %s", key, string(s), oneOf(string(s), names))
		return ""
	}
	return s
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	}
	return n.Value
}

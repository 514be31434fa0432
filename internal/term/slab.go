package term

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/slab"
)

// Slab shows the caches of small objects: those that hold objects of several domains, or
// all of them.
func (w *Writer) Slab(r *slab.Report, all bool) {
	t := r.Totals()
	size := "what they take is hidden"
	if t.Bytes != nil {
		size = Size(*t.Bytes) + " in slabs"
	}
	w.line("%s", bold.Render(fmt.Sprintf("%d caches under %d names, %s", t.Caches, t.Names, size)))
	w.text(0, "%d names share %d caches. %d caches hold objects of several domains, in %d of them beside objects that decide who may do what or which memory is whose.",
		t.SharedNames, t.Merged, t.Crossing, t.Guarded)
	if t.Unsorted > 0 {
		w.text(0, "%s", warn.Render(fmt.Sprintf("%d of these names are of no domain that this version knows (\"unsorted\"): their caches may hold objects of several, too.", t.Unsorted)))
	}
	w.slabHidden(r, t)
	w.line("")
	shown := slices.DeleteFunc(slices.Clone(r.Caches), func(c slab.Cache) bool { return !all && !c.Crosses() })
	if len(shown) > 0 {
		w.line("%s", bold.Render(fmt.Sprintf("  %-14s %9s %10s %10s  %s", "CACHE", "SLOT", "OBJECTS", "IN SLABS", "NAMES (DOMAIN)")))
	}
	for i := range shown {
		w.cache(&shown[i], r.PageSize)
	}
	if t.Crossing > 0 {
		w.line("")
		w.text(0, "! guarded objects beside others. \"slab_nomerge\" on the kernel's command line keeps all caches apart.")
	}
	for i := range r.Exercises {
		w.exercise(&r.Exercises[i])
	}
}

func (w *Writer) slabHidden(r *slab.Report, t slab.Totals) {
	if t.Denied > 0 {
		w.text(0, "%s", warn.Render(fmt.Sprintf("Sizes, numbers of objects and lists of %d caches are for root alone; names and what shares a cache are not.", t.Denied)))
	}
	for i := range r.Caches {
		if c := &r.Caches[i]; t.Failed > 0 && c.Hidden != nil && t.Denied == 0 {
			w.text(0, "%s", warn.Render("unknown: "+guarantee.Text(c.Hidden.Error())))
		}
	}
}

func (w *Writer) cache(c *slab.Cache, page uint64) {
	mark := " "
	if c.Guarded() {
		mark = bad.Render("!")
	}
	slot, objects, bytes := "?", "?", "?"
	if d := c.Detail; d != nil {
		slot = fmt.Sprintf("%d B", d.SlabSize)
		if d.Objects != nil {
			objects = fmt.Sprint(d.Objects.Sum)
		}
		if n, ok := d.Bytes(page); ok {
			bytes = Size(n)
		}
	}
	w.text(0, "%s %-14s %9s %10s %10s  %s", mark, guarantee.Text(c.ID), slot, objects, bytes, namesByDomain(c))
}

// namesByDomain groups the names: "key_jar (identity), biovec-16 sgpool-8 (block)".
func namesByDomain(c *slab.Cache) string {
	var groups []string
	for _, d := range c.Domains() {
		var names []string
		for _, name := range c.Names {
			if slab.DomainOf(name) == d {
				names = append(names, guarantee.Text(name))
			}
		}
		style := faint
		if d.Guarded() {
			style = warn
		}
		groups = append(groups, strings.Join(names, " ")+" "+style.Render("("+string(d)+")"))
	}
	return strings.Join(groups, ", ")
}

// exercise shows what became of objects that were made and given back.
func (w *Writer) exercise(e *slab.Exercise) {
	w.line("")
	where := fmt.Sprintf("made on CPU %d, given back on CPU %d", e.From, e.To)
	if e.From == e.To {
		where = fmt.Sprintf("made and given back on CPU %d", e.From)
	}
	w.line("%s", bold.Render(fmt.Sprintf("%d × %s (%s), %s", e.Made, e.Name, e.Cache, where)))
	if !e.Seen() {
		w.line("  %s", warn.Render("unknown: the count of objects did not follow"))
	}
	for _, s := range []struct {
		when  string
		state slab.State
	}{{"before", e.Before}, {"with them", e.Full}, {"after", e.After}} {
		var lists []string
		for _, l := range s.state.CPUPartial {
			lists = append(lists, fmt.Sprintf("CPU %d: %d", l.CPU, l.Slabs))
		}
		w.line("  %-10s %6d objects in %4d slabs; partial: %d with the node, with CPUs %s", s.when, s.state.Objects, s.state.Slabs, s.state.Partial,
			cmp.Or(strings.Join(lists, ", "), "none"))
	}
}

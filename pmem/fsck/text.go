package fsck

import (
	"fmt"
	"io"

	"github.com/safevma/safevma/guarantee"
)

// WriteText shows the report to people.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	said := map[Kind]bool{}
	for _, one := range r.Problems {
		p.problem(one, !said[one.Kind])
		said[one.Kind] = true
	}
	if r.Omitted > 0 {
		p.line("%d more problems of these kinds", r.Omitted)
	}
	if r.Log.Torn {
		p.line("the log ends in a record that is not whole, and that nobody was told was durable: opening the pool drops it")
	}
	if r.Log.Records > 0 {
		p.line("opening the pool replays %d records of its log: it was checked as it will be then", r.Log.Records)
	}
	if r.Unjudged > 0 {
		p.line("%d objects are reached by nothing that can be read: they may be leaks, or only what is damaged refers to them", r.Unjudged)
	}
	p.line("%s", r.summary())
	return p.err
}

func (r *Report) summary() string {
	c := r.Counts
	seen := fmt.Sprintf("%d objects of %d bytes, %d types, %d roots, in %d spans; %d slots are free, %d of them for good", c.Objects, c.Bytes, c.Types, c.Roots, c.Spans, c.Free, c.Retired)
	problems := int64(len(r.Problems)) + r.Omitted
	switch {
	case !r.Complete:
		return fmt.Sprintf("%d problems; what is in the pool could not be checked", problems)
	case problems == 0:
		return "clean: " + seen
	}
	return fmt.Sprintf("%d problems: %s", problems, seen)
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// problem shows one; what to do is said once for each kind.
func (p *printer) problem(one Problem, first bool) {
	object := ""
	if one.Object != "" {
		object = ", object " + one.Object
	}
	p.line("%-7s %-11s at %d%s: %s", one.Severity, one.Kind, one.Offset, object, guarantee.Text(one.What))
	if first {
		p.line("        what to do: %s", one.Do)
	}
}

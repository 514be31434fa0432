package damon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Page describes a page, or memory that is alike. What is nil is not known.
type Page struct {
	Anon     *bool   // anonymous, not of a file
	Active   *bool   // on an active list
	Young    *bool   // used since the accessed bit was last taken away
	Unmapped *bool   // in no page table
	Memcg    *string // path of its cgroup from the mount
	Size     *uint64 // of its folio, in bytes
	Address  *uint64 // in units of the context
	Target   *int    // which of the context's targets it is in
	// The region that it is in: units, samples in which it was used, aggregation intervals.
	RegionSize, Accesses, Age *uint64
}

// words are those that set a fact, with what they say.
var words = []struct {
	yes, no string
	of      func(*Page) **bool
}{
	{"anon", "file", func(p *Page) **bool { return &p.Anon }},
	{"active", "inactive", func(p *Page) **bool { return &p.Active }},
	{"young", "old", func(p *Page) **bool { return &p.Young }},
	{"unmapped", "mapped", func(p *Page) **bool { return &p.Unmapped }},
}

// PageWords explains the words of [ParsePage].
const PageWords = "anon|file, active|inactive, young|old, unmapped|mapped, memcg=PATH, size=BYTES, address=N, target=N, " +
	"and of its region: region=BYTES, accesses=N, age=N"

// ParsePage makes a page of words such as "file", "mapped" and "memcg=/system.slice". Numbers
// may be hexadecimal (0x), and sizes have a suffix K, M, G or T.
func ParsePage(list []string) (Page, error) {
	var p Page
	for _, word := range list {
		if err := p.set(word); err != nil {
			return Page{}, err
		}
	}
	return p, nil
}

func (p *Page) set(word string) error {
	for _, w := range words {
		if word != w.yes && word != w.no {
			continue
		}
		yes, field := word == w.yes, w.of(p)
		if *field != nil && **field != yes {
			return fmt.Errorf("both %s and %s", w.yes, w.no)
		}
		*field = &yes
		return nil
	}
	name, text, ok := strings.Cut(word, "=")
	if ok && name == "memcg" && strings.HasPrefix(text, "/") {
		p.Memcg = &text
		return nil
	}
	if ok && name == "target" {
		n, err := strconv.Atoi(text)
		p.Target = &n
		return notNumber(word, err == nil && n >= 0)
	}
	field := map[string]**uint64{"size": &p.Size, "address": &p.Address, "region": &p.RegionSize, "accesses": &p.Accesses, "age": &p.Age}[name]
	if !ok || field == nil {
		return fmt.Errorf("%q: want one of %s", word, PageWords)
	}
	n, ok := number(text)
	*field = &n
	return notNumber(word, ok)
}

func notNumber(word string, ok bool) error {
	if !ok {
		return fmt.Errorf("%q: want a number", word)
	}
	return nil
}

func number(text string) (uint64, bool) {
	digits, shift := text, 0
	if i := len(text) - 1; i > 0 && !strings.HasPrefix(text, "0x") {
		if power := strings.IndexByte("KMGT", text[i]); power >= 0 {
			digits, shift = text[:i], (power+1)*10
		}
	}
	n, err := strconv.ParseUint(digits, 0, 64)
	return n << shift, err == nil && n<<shift>>shift == n
}

// String writes the words of the page.
func (p Page) String() string {
	var list []string
	for _, w := range words {
		if on := *w.of(&p); on != nil {
			list = append(list, map[bool]string{true: w.yes, false: w.no}[*on])
		}
	}
	if p.Memcg != nil {
		list = append(list, "memcg="+*p.Memcg)
	}
	if p.Target != nil {
		list = append(list, "target="+strconv.Itoa(*p.Target))
	}
	for _, n := range []struct {
		name string
		of   *uint64
	}{{"size", p.Size}, {"address", p.Address}, {"region", p.RegionSize}, {"accesses", p.Accesses}, {"age", p.Age}} {
		if n.of != nil {
			list = append(list, fmt.Sprintf("%s=%d", n.name, *n.of))
		}
	}
	if len(list) == 0 {
		return "any page"
	}
	return strings.Join(list, " ")
}

// answer is yes, no, or not known.
type answer int

const (
	unknown answer = iota
	no
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// is says whether the page is of the type that a filter names.
func (f *Filter) is(p *Page) answer {
	switch f.Type {
	case FilterAnon:
		return known(p.Anon)
	case FilterActive:
		return known(p.Active)
	case FilterYoung:
		return known(p.Young)
	case FilterUnmapped:
		return known(p.Unmapped)
	case FilterMemcg:
		if p.Memcg != nil {
			return answerOf(cleanPath(*p.Memcg) == cleanPath(f.Memcg))
		}
	case FilterHugePage:
		if p.Size != nil {
			return answerOf(Range{value(f.Min), value(f.Max)}.Has(*p.Size))
		}
	case FilterTarget:
		if p.Target != nil {
			return answerOf(*p.Target == value(f.Target))
		}
	case FilterAddr:
		if p.Address != nil {
			return answerOf(value(f.AddrStart) <= *p.Address && *p.Address < value(f.AddrEnd))
		}
	}
	return unknown
}

func known(b *bool) answer {
	if b == nil {
		return unknown
	}
	return answerOf(*b)
}

func cleanPath(path string) string { return "/" + strings.Trim(path, "/\n ") }

// matches says whether a filter matches the page.
func (f *Filter) matches(p *Page) answer {
	is := f.is(p)
	if is != unknown && !f.Matching {
		return yes + no - is
	}
	return is
}

// learn returns the page with what is known of it once a filter did not match.
func (f *Filter) learn(p Page) Page {
	is := !f.Matching
	for i, t := range []FilterType{FilterAnon, FilterActive, FilterYoung, FilterUnmapped} {
		if f.Type == t {
			*words[i].of(&p) = &is
		}
	}
	return p
}

// needs names what a page must say so that a filter can be judged.
func (f *Filter) needs() string {
	i := slices.Index([]FilterType{FilterAnon, FilterActive, FilterYoung, FilterUnmapped}, f.Type)
	if i >= 0 {
		return words[i].yes + "|" + words[i].no
	}
	switch f.Type {
	case FilterMemcg:
		return "memcg="
	case FilterHugePage:
		return "size="
	case FilterTarget:
		return "target="
	case FilterAddr:
		return "address="
	}
	return "what " + string(f.Type) + " is"
}

// String writes the filter as a sentence.
func (f *Filter) String() string {
	what := string(f.Type)
	switch f.Type {
	case FilterMemcg:
		what += " " + cleanPath(f.Memcg)
	case FilterHugePage:
		what += fmt.Sprintf(" %d to %d", value(f.Min), value(f.Max))
	case FilterTarget:
		what += fmt.Sprintf(" %d", value(f.Target))
	case FilterAddr:
		what += fmt.Sprintf(" %d to below %d", value(f.AddrStart), value(f.AddrEnd))
	}
	if !f.Matching {
		what = "not " + what
	}
	if f.Allows() {
		return "allow " + what
	}
	return "reject " + what
}

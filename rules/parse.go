package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"go.yaml.in/yaml/v4"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

// identifier is the form of the ids of rules and packs.
var identifier = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const maxIdentifier = 64

func (d *decoder) identifier(n *yaml.Node, what, id string) {
	if id != "" && (len(id) > maxIdentifier || !identifier.MatchString(id)) {
		d.fail(at(n), "%s %q: use lower-case letters, digits and single hyphens, at most %d", what, id, maxIdentifier)
	}
}

// pack reads the top of a file.
func (d *decoder) pack(n *yaml.Node, p *Pack) {
	o := d.object(n, "the file", "schema", "pack", "description", "rules")
	if schema := o.text("schema"); schema != "" && schema != Schema {
		d.fail(at(o.fields["schema"]), "schema %q is not known: this version reads %q", schema, Schema)
		return
	}
	p.Name = o.text("pack")
	d.identifier(o.fields["pack"], "the pack's name", p.Name)
	p.Description = o.text("description")
	list := o.required("rules")
	items := d.items(list, "rules")
	switch {
	case len(items) > maxRules:
		d.fail(at(items[maxRules]), "more than %d rules: split the file", maxRules)
		return
	case len(items) == 0 && list != nil && list.Kind == yaml.SequenceNode:
		d.fail(at(list), "there are no rules: add one")
	}
	seen := make(map[string]int)
	for _, item := range items {
		r := d.readRule(item)
		if first, ok := seen[r.ID]; ok && r.ID != "" {
			d.rule = r.ID
			d.fail(at(item), "a rule of this id is on line %d already: give it another id", first)
			d.rule = ""
		} else {
			seen[r.ID] = item.Line
		}
		r.Pack = p.Name
		p.Rules = append(p.Rules, r)
	}
}

var ruleKeys = []string{
	"id", "requirement", "severity", "subject", "method", "declared", "filter", "when",
	"message", "means", "remedy", "references", "allow", "controls",
}

// readRule reads, compiles and controls one rule.
func (d *decoder) readRule(n *yaml.Node) *Rule {
	defer func() { d.rule = "" }()
	d.rule = ""
	before := len(d.faults)
	if n.Kind == yaml.MappingNode {
		d.rule = idOf(n)
	}
	o := d.object(n, "a rule", ruleKeys...)
	r := &Rule{File: d.file, Line: n.Line}
	d.describe(&o, r)
	d.filter(&o, r)
	d.expressions(&o, r)
	// Controls say something only of a rule that is right.
	tests := d.readControls(&o, r)
	if len(d.faults) == before {
		r.finish()
		d.control(n, r, tests)
	}
	return r
}

// idOf finds the id of a rule, so that all its faults can name it.
func idOf(n *yaml.Node) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "id" && n.Content[i+1].Kind == yaml.ScalarNode && len(n.Content[i+1].Value) <= maxIdentifier {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// describe reads what is not executed.
func (d *decoder) describe(o *object, r *Rule) {
	r.ID = o.text("id")
	d.identifier(o.fields["id"], "the id", r.ID)
	r.Requirement = o.text("requirement")
	if _, ok := guarantee.Find(r.Requirement); !ok && r.Requirement != "" {
		d.fail(at(o.fields["requirement"]), "requirement %q is not in the catalogue: %s", r.Requirement, oneOf(r.Requirement, requirementIDs()))
	}
	r.Severity = choice(o, "severity", guarantee.Severities())
	r.Subject = choice(o, "subject", Subjects())
	r.Method = guarantee.Read
	if o.fields["method"] != nil {
		r.Method = choice(o, "method", []guarantee.Method{guarantee.Read, guarantee.Probe, guarantee.Inference})
	}
	r.Declared = o.boolean("declared")
	if r.Declared && r.Subject == SubjectHost {
		d.fail(at(o.fields["declared"]), "a host is not declared: remove this, or ask another subject")
	}
	r.Means, r.Remedy = o.text("means"), o.text("remedy")
	for _, n := range d.few(o.fields["references"], "references") {
		r.References = append(r.References, d.reference(n))
	}
}

func requirementIDs() []string {
	var ids []string
	for _, r := range guarantee.Catalogue() {
		ids = append(ids, r.ID)
	}
	return ids
}

// referenceForms are what ids of some kinds look like.
var referenceForms = map[string]*regexp.Regexp{
	"cve":        regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,}$`),
	"cwe":        regexp.MustCompile(`^CWE-[0-9]+$`),
	"mitre":      regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`),
	"kernel-doc": regexp.MustCompile(`^Documentation/[A-Za-z0-9_./-]+$`),
	"man":        regexp.MustCompile(`^[A-Za-z0-9_.-]+\([1-9][a-z]*\)$`),
}

func (d *decoder) reference(n *yaml.Node) Reference {
	o := d.object(n, "a reference", "kind", "id", "title", "url")
	ref := Reference{Kind: choice(&o, "kind", ReferenceKinds()), ID: o.text("id"), Title: o.optional("title"), URL: o.optional("url")}
	if form := referenceForms[ref.Kind]; form != nil && ref.ID != "" && !form.MatchString(ref.ID) {
		d.fail(at(o.fields["id"]), "%q is not the id of a %s: its form is %s", ref.ID, ref.Kind, form)
	}
	if ref.URL != "" && !strings.HasPrefix(ref.URL, "https://") {
		d.fail(at(o.fields["url"]), "url %q: begin it with https://", ref.URL)
	}
	return ref
}

func (d *decoder) filter(o *object, r *Rule) {
	n := o.fields["filter"]
	if n == nil {
		return
	}
	if r.Subject != SubjectVMA && r.Subject != "" {
		d.fail(at(n), "a rule about %s has no filter, only rules about vma have: say it in when", r.Subject)
	}
	f := d.object(n, "the filter", "perms", "flags", "not_flags", "kinds")
	r.Filter.Perms = f.optional("perms")
	if bad := strings.Trim(r.Filter.Perms, permLetters); bad != "" {
		d.fail(at(f.fields["perms"]), "perms %q: use letters of %s", r.Filter.Perms, permLetters)
	}
	if strings.Contains(r.Filter.Perms, "s") && strings.Contains(r.Filter.Perms, "p") {
		d.fail(at(f.fields["perms"]), "perms %q: no mapping is both shared and private: remove one", r.Filter.Perms)
	}
	r.Filter.Flags, r.Filter.NotFlags = d.flags(f.fields["flags"]), d.flags(f.fields["not_flags"])
	for _, item := range d.few(f.fields["kinds"], "kinds") {
		name := d.scalar(item, "a kind")
		if _, ok := ParseKind(name); !ok && name != "" {
			d.fail(at(item), "kind %q is not known: %s", name, oneOf(name, kindNames[:]))
		}
		r.Filter.Kinds = append(r.Filter.Kinds, name)
	}
}

func (d *decoder) flags(n *yaml.Node) []string {
	var codes []string
	for _, item := range d.few(n, "flags") {
		code := d.scalar(item, "a flag")
		if _, ok := vma.ParseFlag(code); !ok && code != "" {
			d.fail(at(item), "flag %q is not known: use the two letters of VmFlags, see proc_pid_smaps(5)", code)
		}
		codes = append(codes, code)
	}
	return codes
}

// expressions compiles when, message and allow.
func (d *decoder) expressions(o *object, r *Rule) {
	r.Message = o.text("message")
	if o.fields["when"] == nil && !r.Filter.Empty() {
		r.When = "true"
		r.when, _ = compile(SubjectVMA, r.When)
	} else {
		r.When, r.when = d.condition(o.required("when"), "when", r.Subject)
	}
	if r.Message != "" && r.Subject != "" {
		var complaints []complaint
		// The node's own text, so that offsets are right.
		r.message, complaints = parseTemplate(r.Subject, o.fields["message"].Value)
		d.complain(o.fields["message"], complaints)
	}
	for _, n := range d.few(o.fields["allow"], "allow") {
		a := d.object(n, "an exception", "when", "reason")
		exception := Allow{Reason: a.text("reason")}
		exception.When, exception.when = d.condition(a.required("when"), "when", r.Subject)
		r.Allow = append(r.Allow, exception)
	}
}

// condition compiles an expression that must be true or false.
func (d *decoder) condition(n *yaml.Node, what string, s Subject) (string, *expression) {
	if n == nil {
		return "", nil
	}
	text := d.scalar(n, what)
	if s == "" || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return text, nil
	}
	if text == "" {
		d.fail(at(n), "%q is empty: write a CEL expression", what)
		return "", nil
	}
	e, complaints := compile(s, n.Value)
	if e != nil && e.typ.Kind() != types.BoolKind {
		complaints = []complaint{{reason: fmt.Sprintf("this is of type %s: write an expression that is true or false", e.typ)}}
	}
	d.complain(n, complaints)
	return text, e
}

// finish makes what evaluation needs.
func (r *Rule) finish() {
	r.Message = strings.TrimSpace(r.Message)
	r.sieve = r.Filter.sieve()
	r.needs = slices.Clone(r.sieve.needs)
	add := func(e *expression) {
		if e == nil {
			return
		}
		for _, n := range e.needs {
			if !slices.Contains(r.needs, n) {
				r.needs = append(r.needs, n)
			}
		}
	}
	add(r.when)
	for i := range r.Allow {
		add(r.Allow[i].when)
	}
	for _, p := range r.message {
		add(p.expr)
	}
	r.unknown = make(map[need]*cel.AttributePatternType, len(r.needs))
	for _, n := range r.needs {
		r.unknown[n] = n.pattern()
	}
}

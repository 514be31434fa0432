package rules

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

// Schema is the first line of every rule file's content: "schema: safevma.rules/v1".
const Schema = "safevma.rules/v1"

// Pack is the content of one rule file.
type Pack struct {
	Name        string
	Description string
	// File is where it was read from, as given to [Load].
	File string
	// Digest is the SHA-256 of the file, in hexadecimal.
	Digest string
	// Rules are in the order of the file.
	Rules []*Rule
}

// Rule is one compiled rule. It is immutable: do not change its fields.
type Rule struct {
	ID string `json:"id"`
	// Pack is the name of the pack that it came in; File and Line are where it begins.
	Pack string `json:"pack"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Requirement is the id, in [guarantee.Catalogue], of what is broken where the
	// rule fires.
	Requirement string             `json:"requirement"`
	Severity    guarantee.Severity `json:"severity"`
	Subject     Subject            `json:"subject"`
	// Method says how its facts are known: read, unless the rule says otherwise.
	Method guarantee.Method `json:"method"`
	// Declared rules are asked of declared subjects only.
	Declared bool   `json:"declared"`
	Filter   Filter `json:"filter"`
	// When is the CEL expression that is true where the requirement is broken.
	When string `json:"when"`
	// Message is the template of what is said then.
	Message string `json:"message"`
	// Means says in plain words what a finding means, Remedy how to mend it.
	Means      string      `json:"means"`
	Remedy     string      `json:"remedy"`
	References []Reference `json:"references"`
	Allow      []Allow     `json:"allow"`

	sieve   sieve
	when    *expression
	message template
	needs   []need
	// unknown has the pattern that makes CEL treat a needed fact as unknown.
	unknown map[need]*cel.AttributePatternType
}

// Reference is where to read more.
type Reference struct {
	// Kind is one of those that [ReferenceKinds] returns.
	Kind string `json:"kind"`
	// ID is the path of a kernel document below Documentation/, the name of a manual
	// page, or an id such as CWE-119 or T1055.
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url,omitempty"`
}

// ReferenceKinds lists the kinds of references.
func ReferenceKinds() []string {
	return []string{"kernel-doc", "man", "cve", "cwe", "mitre", "paper", "other"}
}

// Allow is an exception from a rule.
type Allow struct {
	// When is the CEL expression that is true where the exception applies.
	When string `json:"when"`
	// Reason says why it is acceptable.
	Reason string `json:"reason"`

	when *expression
}

// MatchVMA reports whether the rule needs to be evaluated for a mapping: where it
// returns false, [Rule.Eval] would say that the rule holds. It allocates nothing. A rule
// about another subject matches no mapping. Where the flags are not known, because smaps
// was not read, the answer can be wrong: Eval, with "flags" unknown, is right.
func (r *Rule) MatchVMA(perm vma.Perm, flags vma.Flags, kind Kind) bool {
	return r.Subject == SubjectVMA && r.sieve.matches(perm, flags, kind)
}

// Needs returns the facts that the filter, the expressions and the message read, such
// as "vma.foreign_pages", sorted.
func (r *Rule) Needs() []string {
	names := make([]string, len(r.needs))
	for i, n := range r.needs {
		names[i] = n.String()
	}
	slices.Sort(names)
	return names
}

// NeedsSource reports whether the rule reads a fact that comes from the given source,
// such as "smaps" or "kpagecount"; see [Fact].
func (r *Rule) NeedsSource(s Subject, source string) bool {
	return slices.ContainsFunc(r.needs, func(n need) bool {
		f, ok := factOf(n.subject, n.fact)
		return ok && n.subject == s && f.Source == source
	})
}

// Join returns the rules of several packs. Two rules may not have one id: a verdict
// names the rule by it.
func Join(packs ...*Pack) ([]*Rule, error) {
	var all []*Rule
	seen := make(map[string]*Rule)
	var faults []*Error
	for _, p := range packs {
		for _, r := range p.Rules {
			if other := seen[r.ID]; other != nil {
				faults = append(faults, &Error{File: r.File, Line: r.Line, Column: 1, Rule: r.ID,
					Reason: fmt.Sprintf("pack %q has a rule of this id too (%s:%d): give this one another id", other.Pack, other.File, other.Line)})
				continue
			}
			seen[r.ID] = r
			all = append(all, r)
		}
	}
	if len(faults) > 0 {
		return nil, join(faults)
	}
	return all, nil
}

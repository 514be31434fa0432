// Package rules decides: it applies rules, written in YAML with CEL expressions, to
// typed facts about mappings, processes, inodes, memfds, PID namespaces and the host.
//
// [Load] reads a rule file and refuses it, with every fault's line and column, unless
// all its expressions are type-checked, all its requirements are in the catalogue, and
// all its controls behave: each rule carries facts on which it must fire and facts on
// which it must be silent, and they are tried before the rule is used on anything. Two
// packs are embedded, see [Embedded].
//
// A [Rule] is used in two steps. [Rule.MatchVMA] is the cheap filter that most VMAs
// never pass. [Rule.Eval] then evaluates the expressions on [Facts]. A fact that could
// not be read is in the Unknown map of its subject, with the reason, and not zero:
// evaluation is partial, so a rule that needs it is [guarantee.Unknown] and names it,
// and a rule that is decided without it is decided. An expression that fails or costs
// too much is Unknown as well: nothing but a completed evaluation ever holds.
//
// Rules are immutable after Load and safe for concurrent use. Facts are plain data:
// those given to Eval must not be changed while it runs.
//
// docs/rules.md describes the file format and every fact.
package rules

//go:generate go test . -run TestDocs -update

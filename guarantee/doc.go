// Package guarantee is the vocabulary of safevma: what is asked of memory, and
// what was found.
//
// A [Requirement] says one thing that must hold, under a stable id. A [Verdict]
// says, for one requirement and one [Subject], whether it holds, and carries
// what is needed to believe it: the method, the raw observation in the kernel's
// own words, the control that shows that the method can fail, and the window of
// time that was looked at. Everything in safevma that proves returns verdicts;
// a [Report] is their documented, versioned JSON form.
//
// Three rules hold for every verdict:
//
//   - What could not be measured is [Unknown]. It never counts as holding.
//   - [Holds] needs a control that passed: a check that cannot fail proves
//     nothing. [Verdict.Validate] refuses one without.
//   - [Broken] needs an observation: the raw line, the errno.
//
// All values are plain data, safe for concurrent reading.
package guarantee

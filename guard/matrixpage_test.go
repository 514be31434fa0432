package guard_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// series is the first two numbers of a release.
func series(release string) string { return strings.Join(strings.SplitN(release, ".", 3)[:2], ".") }

// label is a series, and the architecture where that is not amd64.
func label(release string) string {
	if strings.HasSuffix(release, "-arm64") {
		return series(release) + " of arm64"
	}
	return series(release)
}

// version is a number by which releases are sorted.
func version(release string) (n int) {
	var major, minor int
	_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor) // one that is none comes first
	return major<<16 | minor
}

const matrixHead = `# Attacks under the profiles of safevma run

What a program tries, and what comes of it, as root, on Linux %s. Made by ` + "`make run-matrix`" + ` from runs on this
kernel and on those of the lab; tests hold each line on the kernel that they run on. *Closed* says by which errno or
signal, before the call does anything; nothing is killed after it was done, or only detected. Where kernels differ, a
cell says which does what.

`

const matrixTable = `| attack | what it does | no profile | wx | secrets | deterministic | safety |
|---|---|---|---|---|---|---|
`

// matrixPage writes docs/run-matrix.md.
func matrixPage(parts []*part) string {
	var b strings.Builder
	var releases []string
	for _, p := range parts {
		releases = append(releases, p.Kernel)
	}
	fmt.Fprintf(&b, matrixHead, strings.Join(releases, ", "))
	for _, p := range parts {
		why := map[string]string{}
		for _, profile := range profiles {
			for r, message := range p.Lacking[profile] {
				why[string(r)] = message
			}
		}
		for _, r := range slices.Sorted(maps.Keys(why)) {
			fmt.Fprintf(&b, "- %s was left out on %s (`--without %s`): %s\n", r, label(p.Kernel), r, why[r])
		}
	}
	b.WriteString("\n" + matrixTable)
	for i := range attacks {
		fmt.Fprintf(&b, "| %s | %s |", attacks[i].name, attacks[i].does)
		for _, profile := range profiles {
			fmt.Fprintf(&b, " %s |", cell(parts, attacks[i].name, profile))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// cell says what comes of an attack under a profile: once where all kernels agree, else by the kernels.
func cell(parts []*part, attack, profile string) string {
	var outcomes []string
	kernels := map[string][]string{}
	for _, p := range parts {
		o := outcomeOf(p, attack, profile)
		if o == "open" && slices.ContainsFunc(parts, func(q *part) bool { return q.Attacks[attack][profile] != "open" }) {
			o += p.left(profile)
		}
		if kernels[o] == nil {
			outcomes = append(outcomes, o)
		}
		kernels[o] = append(kernels[o], label(p.Kernel))
	}
	if len(outcomes) == 1 {
		return outcomes[0]
	}
	for i, o := range outcomes {
		outcomes[i] = o + " on " + strings.Join(kernels[o], ", ")
	}
	return strings.Join(outcomes, "; ")
}

// left says what of a profile was left out on a kernel.
func (p *part) left(profile string) string {
	var rules []string
	for _, r := range p.without(profile) {
		rules = append(rules, string(r))
	}
	if len(rules) == 0 {
		return ""
	}
	return " (without " + strings.Join(rules, ", ") + ")"
}

func outcomeOf(p *part, attack, profile string) string {
	got, ok := p.Attacks[attack][profile]
	switch {
	case !ok:
		return "not tried"
	case got == "open":
		return got
	case got == p.Attacks[attack][""]:
		return "closed without rules: " + got
	}
	return "closed: " + got
}

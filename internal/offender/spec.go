package offender

import "slices"

// Spec is one offender or one fixture.
type Spec struct {
	Name    string `json:"name"`
	Usage   string `json:"usage,omitempty"` // further arguments
	Summary string `json:"summary"`
	// Requirement is the id in the catalogue of package guarantee that it breaks;
	// empty for a fixture.
	Requirement string `json:"requirement,omitempty"`
	// Rule is the rule that it breaks, by its id in the embedded packs. Also are others
	// that can't be left whole by it.
	Rule string   `json:"rule,omitempty"`
	Also []string `json:"also,omitempty"`
	// Needs is what a kernel, file system or user may lack; it is found by trying.
	Needs string `json:"needs,omitempty"`
	// Trigger is the line on standard input that makes it commit the violation; empty
	// where it is committed at the start.
	Trigger string `json:"trigger,omitempty"`
	// Declared says that it breaks a rule only for a declared subject: an ordinary
	// process may do the same.
	Declared bool `json:"declared,omitempty"`
	// Region says that only the mappings in the report are to be judged, not the
	// whole processes; see the Summary of each twin, too.
	Region bool   `json:"region,omitempty"`
	Twins  []Twin `json:"twins,omitempty"`

	commit func(*run) error
}

// Twin does the nearest correct thing. None of its offender's rules is broken by it.
type Twin struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Needs   string `json:"needs,omitempty"`
	// Region says that only the mappings in the report are clean; the rest of the
	// process can't be.
	Region bool `json:"region,omitempty"`

	commit func(*run) error
}

// List returns the offenders with their twins.
func List() []Spec { return specs(offenders()) }

// Fixtures returns the programs that break no rule: address spaces that are hard to
// read, and large ones for benchmarks.
func Fixtures() []Spec { return specs(fixtures()) }

func specs(of []Spec) []Spec {
	for i := range of {
		of[i].Twins = slices.Clone(of[i].Twins)
	}
	return of
}

// find returns what name does; spec is nil for what is no offender.
func find(name string) (commit func(*run) error, spec *Spec) {
	for _, s := range offenders() {
		if s.Name == name {
			return s.commit, &s
		}
		for _, t := range s.Twins {
			if t.Name == name {
				return t.commit, nil
			}
		}
	}
	for _, s := range fixtures() {
		if s.Name == name {
			return s.commit, nil
		}
	}
	return helpers()[name], nil
}

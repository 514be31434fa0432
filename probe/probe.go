package probe

import (
	"slices"
	"time"

	"github.com/safevma/safevma/guarantee"
)

// SecretPages is how many pages of secret memory the probes of a run have at most at once.
const SecretPages = 16

// Subject is what a group of probes is about.
type Subject string

// The subjects, in the order of the catalogue.
const (
	Memfd       Subject = "memfd"
	Secret      Subject = "secret memory"
	Sealing     Subject = "sealing and protection"
	Residency   Subject = "residency and commitment"
	Concurrency Subject = "integrity under concurrency"
	Persistent  Subject = "persistent memory"
	Zones       Subject = "kernel memory zones"
	Defences    Subject = "kernel defences"
)

// Subjects lists the subjects in the order of the catalogue.
func Subjects() []Subject {
	return []Subject{Memfd, Secret, Sealing, Residency, Concurrency, Persistent, Zones, Defences}
}

// Probe is one claim and the experiment that tries it.
type Probe struct {
	// ID is stable: it is never used again for another claim.
	ID      string
	Subject Subject
	// Claim is what the source says, as a statement that can be true or false.
	Claim string
	// Source says who claims it: a manual page, a kernel document, an article.
	Source string
	// Since is the first kernel that has what the claim speaks of, by its documentation.
	// Nothing is ever decided by it.
	Since string
	// Experiment, Control and Oracle say what is tried, on what else, and which answers
	// decide.
	Experiment, Control, Oracle string
	// Cleanup says what undoes the experiment, where that is more than the end of its
	// process.
	Cleanup string
	// Row is the row of the ledger of documents against kernels, see docs/probe.md. Empty
	// where the probe is in none.
	Row string
	// Requirement is the guarantee that the outcome speaks of, see [guarantee.Catalogue];
	// empty where there is none. It holds where the claim is Good: confirmed, or refuted.
	Requirement string
	Good        Outcome
	// Severity of the requirement not holding.
	Severity guarantee.Severity
	// Remedy says what to do where the requirement is broken.
	Remedy string
	// Needs says what the experiment can't do without.
	Needs Needs

	run func(*trial)
}

// Needs are the means of a probe that a run provides or that the caller must have.
type Needs struct {
	// Privilege is shown to the user: "CAP_SYS_ADMIN (own pid namespace)". The probe finds
	// out by trying.
	Privilege string
	// SecretPages is how many pages of secret memory it has at most at once.
	SecretPages int
	// Alone is set where other probes would disturb the measurement.
	Alone bool
	// Cgroup is the limit, in bytes, of an own memory cgroup that the process is put in; 0
	// for none.
	Cgroup int64
	// Folder asks for a temporary folder on the file system of the temporary files.
	Folder bool
	// Limit is how long it may take; 0 is [DefaultLimit].
	Limit time.Duration
}

// DefaultLimit is how long a probe may take that says nothing else.
const DefaultLimit = 20 * time.Second

func (p *Probe) limit() time.Duration {
	if p.Needs.Limit != 0 {
		return p.Needs.Limit
	}
	return DefaultLimit
}

// Catalogue returns all probes, ordered by subject.
func Catalogue() []Probe {
	all := slices.Concat(
		memfdProbes(), secretProbes(), sealingProbes(), residencyProbes(), concurrencyProbes(), persistentProbes(), zoneProbes(), defenceProbes(),
	)
	for i := range all {
		if all[i].Good == "" {
			all[i].Good = Confirmed
		}
		if all[i].Severity == "" {
			all[i].Severity = guarantee.Medium
		}
	}
	return append(all, extra...)
}

// extra are probes of tests.
var extra []Probe

// Find returns the probe with the given id.
func Find(id string) (Probe, bool) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(p Probe) bool { return p.ID == id })
	if i < 0 {
		return Probe{}, false
	}
	return all[i], true
}

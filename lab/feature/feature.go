package feature

import (
	"fmt"
	"sync"

	"github.com/safevma/safevma/lab/machine"
)

// Feature is something that a kernel or a machine may have or lack.
type Feature struct {
	Name   string // as [Find] takes it, such as "map-sync"
	Title  string // what a kernel that has it does, in one line
	Source string // the manual page or kernel document
	// Risk is what probing does to the host. A feature with one is probed in the lab
	// alone.
	Risk string
	// Privileged: only the superuser can probe it; to others it is unknown.
	Privileged bool
	// Since is the first release, "major.minor", of Debian's kernels that should have it.
	Since string
	// needs says what a machine lacks for it; empty for nothing. Nil: any will do.
	needs func(machine.Machine) string
	probe func() Result
}

// All returns every feature, in the order of the table in the documentation.
func All() []Feature {
	return []Feature{
		dax, mapSync, eadr, pku, memfdSecret, noexecSeal, mseal, procmapQuery, pagemapScan,
		damonVaddr, damonPaddr, damonFvaddr, mglru, kfence, psi, bpfLSMLoad, bpfLSMEnforce,
		memcgV2, hwpoison, numa,
	}
}

// Find returns the feature with the given name.
func Find(name string) (Feature, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Feature{}, false
}

// LabOnly reports whether the feature is probed in the lab alone.
func (f Feature) LabOnly() bool { return f.Risk != "" }

// one probe runs at a time: some change what belongs to the whole host, or to the
// process.
var one sync.Mutex

// Probe finds out whether the feature is there. It may take seconds.
func (f Feature) Probe() Result {
	one.Lock()
	defer one.Unlock()
	r := f.permitted()
	if r.Answer != Unknown {
		r = f.probe()
	}
	r.Feature = f.Name
	return r
}

// permitted is unknown where the feature may not be probed.
func (f Feature) permitted() Result {
	if !f.LabOnly() {
		return Result{}
	}
	_, inside, err := machine.Here()
	if err != nil {
		return unknown("is this the lab", err)
	}
	if !inside {
		return Result{Answer: Unknown, Observed: "probed in the lab alone: " + f.Risk}
	}
	return Result{}
}

// Expected reports whether a lab machine with one of Debian's kernels should have the
// feature, and why, or why not.
func (f Feature) Expected(m machine.Machine) (expected bool, why string) {
	if f.needs != nil {
		if lack := f.needs(m); lack != "" {
			return false, lack
		}
	}
	kernel, err := parseRelease(m.Kernel)
	if err != nil { // a machine that can't be judged must not let tests be skipped
		return true, err.Error()
	}
	since, err := parseRelease(f.Since)
	if err != nil {
		return true, err.Error()
	}
	if kernel.before(since) {
		return false, fmt.Sprintf("Debian's kernels have it since %s; this is %s", f.Since, m.Kernel)
	}
	return true, fmt.Sprintf("Debian's kernels have it since %s, and this is %s", f.Since, m.Kernel)
}

// release is a kernel release up to the part that features come with.
type release struct{ major, minor int }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

func parseRelease(text string) (release, error) {
	var r release
	if _, err := fmt.Sscanf(text, "%d.%d", &r.major, &r.minor); err != nil {
		return r, fmt.Errorf("%q is not a kernel release: %w", text, err)
	}
	return r, nil
}

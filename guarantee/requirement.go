package guarantee

// Requirement is one thing that is asked of memory. Ids are stable: they are never
// used again for something else.
type Requirement struct {
	ID string `json:"id"`
	// Text is the requirement, as a statement that can be true or false.
	Text string `json:"text"`
	// Top is the top requirement of the safety working group that it serves, or one
	// that this project adds; see [TopRequirements].
	Top []string `json:"top"`
	// Domain is the group's finding domain, see [Domains]; 0 where there is none.
	Domain int `json:"domain,omitempty"`
	// Goals are the group's address-space goals, see [Goals].
	Goals []string `json:"goals,omitempty"`
	// Fault is the fault that it prevents, in the words of ISO 26262-6 Annex D
	// (freedom from interference).
	Fault string `json:"fault,omitempty"`
	// Observed says how it is observed on a running kernel.
	Observed string `json:"observed"`
}

// Find returns the requirement with the given id.
func Find(id string) (Requirement, bool) {
	for _, r := range catalogue {
		if r.ID == id {
			return r, true
		}
	}
	return Requirement{}, false
}

// Catalogue returns all requirements in the order of their areas.
func Catalogue() []Requirement { return append([]Requirement(nil), catalogue...) }

// TopRequirements names the letters in [Requirement.Top].
func TopRequirements() map[string]string {
	return map[string]string{
		"S": "spatial and temporal isolation",
		"D": "deterministic resource access",
		"C": "concurrency integrity",
		"T": "transparent verification",
		"P": "persistence",
		"O": "ownership and information flow",
		"E": "erasure",
	}
}

// Domains names the numbers in [Requirement.Domain].
func Domains() map[int]string {
	return map[int]string{
		1: "mapping topology",
		2: "backing provenance",
		3: "spatial adjacency",
		4: "kernel co-tenancy",
		5: "cross-domain",
	}
}

// Goals names the ids in [Requirement.Goals].
func Goals() map[string]string {
	return map[string]string{
		"SG01": "create an address space",
		"SG02": "maintain an address space",
		"SG03": "switch between address spaces",
		"SG04": "configure address spaces at boot",
		"SG05": "the kernel's own address space at boot",
		"SG06": "the kernel's own address space at run time",
	}
}

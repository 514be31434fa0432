package host

import "slices"

// Rating is how much a defence helps.
type Rating string

// The ratings, least first.
const (
	None       Rating = "none"
	VeryLittle Rating = "very little"
	Some       Rating = "some"
	High       Rating = "high"
)

// Hardening is one of the kernel's own defences: whether it is on, and what it is
// worth.
type Hardening struct {
	// ID is stable: the symbol of the kernel's configuration where there is one.
	ID   string `json:"id"`
	What string `json:"what"`
	// On is whether it is on. Its method says how that is known: [guarantee.Read] or
	// [guarantee.Probe] by its effect, [guarantee.Inference] by the configuration and
	// the command line.
	On Value[bool] `json:"on"`
	// Accidental is its worth against corruption that nobody intends: a stray write, a
	// bug, a bit that flips. Attack is its worth against somebody who looks for a way.
	// They differ: what only hides an address does not stop a stray write.
	Accidental Rating `json:"accidental"`
	Attack     Rating `json:"attack"`
	// Why gives the reason for the ratings in a sentence.
	Why string `json:"why"`
	// Reference is the document that describes it; RatedBy is who gave the ratings.
	Reference string `json:"reference"`
	RatedBy   string `json:"rated_by"`
}

// Who gave the ratings.
const (
	ratedByELISA   = "ELISA Linux Features for Safety-Critical Systems WG, 2025-09-16"
	ratedBySafeVMA = "safevma"
)

// item is an entry of the table.
type item struct {
	id, what           string
	arch               string // uname -m; "" for all
	accidental, attack Rating
	why, reference     string
	ratedBy            string // "" for this project
	on                 func(*Facts, *session) Value[bool]
}

// hardening evaluates the table. It comes last: it needs the other facts.
func (s *session) hardening(f *Facts) {
	machine := f.Kernel.Uname.V.Machine
	for _, it := range slices.Concat(heapItems, detectionItems, layoutItems, accessItems, hardwareItems) {
		if it.arch != "" && f.Kernel.Uname.Known() && it.arch != machine {
			continue
		}
		h := Hardening{ID: it.id, What: it.what, On: it.on(f, s), Accidental: it.accidental, Attack: it.attack,
			Why: it.why, Reference: it.reference, RatedBy: it.ratedBy}
		if h.RatedBy == "" {
			h.RatedBy = ratedBySafeVMA
		}
		f.Hardening = append(f.Hardening, h)
	}
}

package probe

// Description is a probe without its code, for those who list them.
type Description struct {
	ID          string  `json:"id"`
	Subject     Subject `json:"subject"`
	Claim       string  `json:"claim"`
	Source      string  `json:"source"`
	Since       string  `json:"since,omitempty"`
	Row         string  `json:"row,omitempty"`
	Requirement string  `json:"requirement,omitempty"`
	Good        Outcome `json:"good,omitempty"` // where there is a requirement: it holds then
	Experiment  string  `json:"experiment"`
	Control     string  `json:"control"`
	Oracle      string  `json:"oracle"`
	Cleanup     string  `json:"cleanup,omitempty"`
	Privilege   string  `json:"privilege,omitempty"`
	SecretPages int     `json:"secret_pages,omitempty"`
	Differs     string  `json:"differs,omitempty"`
	Remedy      string  `json:"remedy,omitempty"`
}

// Descriptions describes probes.
func Descriptions(probes []Probe) []Description {
	all := make([]Description, len(probes))
	for i, p := range probes {
		all[i] = Description{ID: p.ID, Subject: p.Subject, Claim: p.Claim, Source: p.Source, Since: p.Since, Row: p.Row,
			Requirement: p.Requirement,
			Experiment:  p.Experiment, Control: p.Control, Oracle: p.Oracle, Cleanup: p.Cleanup, Privilege: p.Needs.Privilege,
			SecretPages: p.Needs.SecretPages, Differs: Difference(p.ID), Remedy: p.Remedy}
		if p.Requirement != "" {
			all[i].Good = p.Good
		}
	}
	return all
}

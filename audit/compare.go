package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// ManifestRule is the name under which verdicts of a manifest appear; the requirement is
// SV-TOP-03.
const ManifestRule = "manifest"

// ProgramOf says which program a process runs: its path, and the digest of the file that
// is really executed.
func ProgramOf(p *process.Process) (manifest.Program, error) {
	exe, err := p.Readlink("exe")
	if err != nil {
		return manifest.Program{}, err
	}
	f, err := p.Open("exe")
	if err != nil {
		return manifest.Program{}, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return manifest.Program{}, p.Wrap("exe", err)
	}
	return manifest.Program{Exe: guarantee.Text(exe), SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// judgeManifest holds the declared processes, or without any those in scope, against the
// manifest.
func (a *auditor) judgeManifest(subjects []*subject) []guarantee.Verdict {
	if a.Manifest == nil {
		return nil
	}
	var verdicts []guarantee.Verdict
	for _, s := range subjects {
		if s.declared && s.judged() || len(a.Declared) == 0 && len(a.Scope) > 0 && s.judged() {
			verdicts = append(verdicts, a.compare(s))
		}
	}
	if len(verdicts) > 0 {
		return verdicts
	}
	v := a.manifestVerdict(a.hostSubject(), guarantee.Since(a.start), a.Proc.Root())
	v.Status = guarantee.Unknown
	v.Message = "there is no process to compare with the manifest: name it with --pid or --declare"
	return []guarantee.Verdict{v}
}

func (a *auditor) manifestVerdict(about guarantee.Subject, window guarantee.Window, source string) guarantee.Verdict {
	return guarantee.Verdict{Requirement: "SV-TOP-03", Rule: ManifestRule, Severity: guarantee.High, Subject: about, Method: guarantee.Read,
		Observation: guarantee.Observation{Source: source}, Control: a.controls.space, Window: window}
}

// compare reads the process once more, since a manifest speaks of every VMA.
func (a *auditor) compare(s *subject) guarantee.Verdict {
	window := guarantee.Window{From: now()}
	differences, vmas, err := a.differences(s)
	window.To = now()
	v := a.manifestVerdict(s.subject(), window, s.path("smaps"))
	switch {
	case err != nil:
		v.Status = guarantee.Unknown
		v.Message = "its address space could not be compared: " + why(err)
	case len(differences) > 0:
		v.Status = guarantee.Broken
		v.Observation.Raw, v.Observation.Total = differences[:min(len(differences), rawMax)], len(differences)
		v.Message = fmt.Sprintf("its address space differs from the manifest in %d places", len(differences))
		v.Remedy = "Find out what made the difference. If it is intended, make the manifest anew with \"safevma baseline\" and review it."
	case a.controls.space.Status != guarantee.ControlPassed:
		v.Status = guarantee.Unknown
		v.Message = "no difference was found, but that is no proof: the control " + string(a.controls.space.Status)
	default:
		v.Status = guarantee.Holds
		v.Message = fmt.Sprintf("all %d mappings are as the manifest says", vmas)
	}
	return v
}

func (a *auditor) differences(s *subject) ([]string, int, error) {
	if s.err != nil {
		return nil, 0, s.err
	}
	p, err := a.Proc.Open(s.info.PID)
	if err != nil {
		return nil, 0, err
	}
	defer p.Close()
	start, err := p.StartTime()
	if err != nil {
		return nil, 0, err
	}
	if start != s.info.StartTime {
		return nil, 0, fmt.Errorf("%w: another process has its id now", process.ErrGone)
	}
	program, err := ProgramOf(p)
	if err != nil {
		return nil, 0, err
	}
	c := a.Manifest.Compare(program)
	vmas := 0
	var r vma.Reader
	if err := r.Smaps(p, func(v *vma.VMA) error {
		vmas++
		c.Add(v)
		return nil
	}); err != nil {
		return nil, 0, err
	}
	after, err := ProgramOf(p)
	if err != nil {
		return nil, 0, err
	}
	if after != program {
		return nil, 0, errRestless
	}
	c.End()
	return c.Differences, vmas, nil
}

package exposure

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

const (
	requirement = "SV-LIN-02"
	rule        = "linear-map-exposure"
)

var references = []string{"Documentation/admin-guide/mm/pagemap.rst", "proc_kpageflags(5)"}

// subject says which process it is.
func subject(p *process.Process) (guarantee.Subject, error) {
	info, err := p.Info()
	if err != nil {
		return guarantee.Subject{}, err
	}
	return guarantee.Subject{Kind: guarantee.KindProcess, PID: info.PID, StartTime: info.StartTime, Name: guarantee.Text(info.Comm), UID: &info.EUID,
		Exe: guarantee.Text(info.Exe), Cgroup: guarantee.Text(info.Cgroup)}, nil
}

// Verdict says that the exposure is a number, which is what the requirement asks; how
// large a number is too large, it does not say. Without a control that passed it is
// unknown.
func (e *Exposure) Verdict() guarantee.Verdict {
	v := guarantee.Verdict{Requirement: requirement, Rule: rule, Status: guarantee.Holds, Severity: guarantee.Info, Subject: e.Process, Method: guarantee.Read,
		Control: e.Control, Window: e.Window, References: references, Message: e.Total.sentence()}
	v.Observation = guarantee.Observation{Source: fmt.Sprintf("/proc/%d/pagemap, /proc/kpageflags, /proc/kpagecount", e.Process.PID), Raw: []string{e.raw()}, Total: 1}
	if e.Control.Status != guarantee.ControlPassed {
		v.Status = guarantee.Unknown
		v.Message = "not known to be right, since its control has not passed: " + v.Message
	}
	return v
}

func (n *Neighbours) sentence() string {
	text := fmt.Sprintf("%d of %d pages have a slab (%d), a page table (%d) or a page of another process (%d) as a physical neighbour",
		n.Exposed, n.Pages-n.Secret, n.Slab, n.PageTable, n.Foreign)
	if n.Secret > 0 {
		text += fmt.Sprintf("; %d more are outside of the linear map", n.Secret)
	}
	return text
}

func (e *Exposure) raw() string {
	n := e.Total
	return fmt.Sprintf("pages=%d exposed=%d slab=%d page_table=%d foreign=%d kernel=%d secret=%d shared=%d swapped=%d special=%d moved=%d",
		n.Pages, n.Exposed, n.Slab, n.PageTable, n.Foreign, n.Kernel, n.Secret, n.Shared, e.Swapped, e.Special, e.Moved)
}

// Unknown is the verdict on a process of which the frames can't be seen.
func Unknown(p *process.Process, why error) (guarantee.Verdict, error) {
	who, err := subject(p)
	from := now()
	return guarantee.Verdict{Requirement: requirement, Rule: rule, Status: guarantee.Unknown, Severity: guarantee.Info, Subject: who, Method: guarantee.Read,
		Observation: guarantee.Observation{Source: p.Path("pagemap"), Raw: []string{guarantee.Text(why.Error())}, Total: 1},
		Control:     guarantee.Control{Status: guarantee.ControlAbsent, Detail: "nothing could be read"}, Window: guarantee.Since(from),
		Message: "what lies beside its pages is not known: " + guarantee.Text(why.Error()), Remedy: "Run it as root.", References: references}, err
}

// Schema names the JSON form.
const Schema = "safevma.exposure/v1"

type jsonRow struct {
	Start  string `json:"start"`
	End    string `json:"end"`
	Perms  string `json:"perms"`
	Name   string `json:"name"`
	Secret bool   `json:"secret_memory"`
	Neighbours
}

type jsonMemory struct {
	Frames        uint64            `json:"frames"`
	FramesPerCell uint64            `json:"frames_per_cell"`
	Classes       map[string]uint64 `json:"classes"`
	// Frames that any process maps, with such a neighbour.
	BesideSlab      uint64 `json:"mapped_beside_slab"`
	BesidePageTable uint64 `json:"mapped_beside_page_table"`
	// Cells with pages of the process alone: first frame, pages, exposed pages.
	Cells [][3]uint64 `json:"cells"`
}

// WriteJSON writes one document.
func (e *Exposure) WriteJSON(w io.Writer) error {
	verdict := e.Verdict()
	out := struct {
		Schema   string            `json:"schema"`
		Verdict  guarantee.Verdict `json:"verdict"`
		PageSize uint64            `json:"page_size"`
		Total    Neighbours        `json:"total"`
		Swapped  uint64            `json:"swapped"`
		Special  uint64            `json:"special"`
		Moved    uint64            `json:"moved"`
		VMAs     []jsonRow         `json:"vmas"`
		Memory   jsonMemory        `json:"memory"`
	}{Schema, verdict, vma.PageSize, e.Total, e.Swapped, e.Special, e.Moved, []jsonRow{}, e.Memory.json()}
	for _, r := range e.Rows {
		out.VMAs = append(out.VMAs, jsonRow{address(r.Start), address(r.End), r.Perm.String(), guarantee.Text(r.Name), r.Secret, r.Neighbours})
	}
	return encode(w, out)
}

// WriteUnknown writes the document of a process of which the frames can't be seen: the
// verdict alone.
func WriteUnknown(w io.Writer, v guarantee.Verdict) error {
	return encode(w, struct {
		Schema  string            `json:"schema"`
		Verdict guarantee.Verdict `json:"verdict"`
	}{Schema, v})
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (m *Memory) json() jsonMemory {
	out := jsonMemory{Frames: m.Frames, FramesPerCell: m.PerCell, Classes: map[string]uint64{}, BesideSlab: m.BesideSlab, BesidePageTable: m.BesidePageTable, Cells: [][3]uint64{}}
	for _, class := range vma.FrameClasses() {
		out.Classes[class.String()] = m.Counts[class]
	}
	for i := range m.Cells {
		if c := &m.Cells[i]; c.Own > 0 {
			out.Cells = append(out.Cells, [3]uint64{uint64(i) * m.PerCell, uint64(c.Own), uint64(c.Exposed)})
		}
	}
	return out
}

func address(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

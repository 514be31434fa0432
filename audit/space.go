package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// Space is the whole address space of a process, to be shown.
type Space struct {
	Process guarantee.Subject
	Window  guarantee.Window
	Rows    []Row
}

// Row is one VMA of it.
type Row struct {
	VMA vma.VMA
	// Kind is what stands behind it.
	Kind rules.Kind
	// Deleted: its file has lost its name.
	Deleted bool
	// BuildID of its file, where that has one and the kernel says it.
	BuildID []byte
}

// ReadSpace reads the address space of a process. The errors are those of
// [vma.Reader.Smaps].
func ReadSpace(proc process.FS, pid int) (*Space, error) {
	devices, err := memfd.LearnDevices()
	if err != nil {
		return nil, err
	}
	p, err := proc.Open(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	s := subject{process: p}
	if s.info, err = p.Info(); err != nil {
		return nil, err
	}
	space := &Space{Process: s.subject()}
	space.Window = guarantee.Since(now())
	var r vma.Reader
	if err := r.Smaps(p, func(v *vma.VMA) error {
		space.Rows = append(space.Rows, Row{VMA: v.Clone(), Kind: KindOf(v, &devices)})
		return nil
	}); err != nil {
		return nil, err
	}
	space.Window.To = now()
	ids := map[inodeID][]byte{}
	for i := range space.Rows {
		row := &space.Rows[i]
		row.Deleted = deleted(p, &row.VMA)
		if row.BuildID, err = buildID(&r, p, row, ids); err != nil && !errors.Is(err, vma.ErrUnsupported) && !errors.Is(err, process.ErrGone) {
			return nil, err
		}
	}
	return space, nil
}

// buildID asks once for each file.
func buildID(r *vma.Reader, p *process.Process, row *Row, known map[inodeID][]byte) ([]byte, error) {
	if row.Kind != rules.KindFile {
		return nil, nil
	}
	key := inodeID{dev: row.VMA.Dev, inode: row.VMA.Inode}
	if id, ok := known[key]; ok {
		return id, nil
	}
	id, err := r.BuildID(p, row.VMA.Start)
	known[key] = append([]byte(nil), id...)
	return known[key], err
}

// SpaceSchema names the JSON form of a [Space].
const SpaceSchema = "safevma.vmas/v1"

// WriteSpace writes the address space as JSON: sizes in bytes, addresses in hexadecimal.
func WriteSpace(w io.Writer, s *Space) error {
	type row struct {
		Start      string   `json:"start"`
		End        string   `json:"end"`
		Perms      string   `json:"perms"`
		Offset     uint64   `json:"offset"`
		Device     string   `json:"device"`
		Inode      uint64   `json:"inode"`
		Name       string   `json:"name"`
		Kind       string   `json:"kind"`
		Deleted    bool     `json:"deleted"`
		BuildID    string   `json:"build_id,omitempty"`
		Size       uint64   `json:"size"`
		Resident   uint64   `json:"resident"`
		Pss        uint64   `json:"pss"`
		Locked     uint64   `json:"locked"`
		Swap       uint64   `json:"swap"`
		Anonymous  uint64   `json:"anonymous"`
		Flags      []string `json:"flags"`
		FlagsWords []string `json:"flags_words"`
	}
	out := struct {
		Schema  string            `json:"schema"`
		Process guarantee.Subject `json:"process"`
		Window  guarantee.Window  `json:"window"`
		VMAs    []row             `json:"vmas"`
	}{SpaceSchema, s.Process, s.Window, []row{}}
	for i := range s.Rows {
		r := &s.Rows[i]
		v := &r.VMA
		one := row{Start: "0x" + hexadecimal(v.Start), End: "0x" + hexadecimal(v.End), Perms: v.Perm.String(), Offset: v.Offset, Device: v.Dev.String(),
			Inode: v.Inode, Name: guarantee.Text(v.Name), Kind: r.Kind.String(), Deleted: r.Deleted, BuildID: hex.EncodeToString(r.BuildID),
			Size: v.Size(), Resident: v.Mem.Resident(), Pss: v.Mem.Pss, Locked: v.Mem.Locked, Swap: v.Mem.Swap, Anonymous: v.Mem.Anonymous,
			Flags: v.Flags.Codes(), FlagsWords: v.Flags.InWords()}
		out.VMAs = append(out.VMAs, one)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

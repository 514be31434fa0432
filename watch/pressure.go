package watch

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/psi"
)

// PressureSchema names the JSON form of [Pressure].
const PressureSchema = "safevma.psi/v1"

// Pressure is one reading of the host and of its groups.
type Pressure struct {
	Schema string           `json:"schema"`
	Window guarantee.Window `json:"window"`
	Host   []Reading        `json:"host"`
	// Groups are those that can be seen: of version 2 with their pressure, those with the
	// memory controller with limits and events, of either version.
	Groups []Group `json:"groups"`
	// Unseen says why there are no groups, or not all.
	Unseen string `json:"unseen,omitempty"`
}

// Reading is the pressure on one resource, or why there is none to read.
type Reading struct {
	Resource psi.Resource  `json:"resource"`
	Pressure *psi.Pressure `json:"pressure"`
	Unknown  string        `json:"unknown,omitempty"`
}

// Group is what one group says.
type Group struct {
	cgroup.Ref
	Readings []Reading      `json:"readings"`
	Memory   *cgroup.Memory `json:"memory"`
	Events   *cgroup.Events `json:"events"`
	Unknown  string         `json:"unknown,omitempty"`
}

// stalled is the time that some of its tasks waited for memory, or for anything.
func (g *Group) stalled() (memory, any time.Duration) {
	for _, r := range g.Readings {
		if r.Pressure == nil {
			continue
		}
		any = max(any, r.Pressure.Some.Total, r.Pressure.Full.Total)
		if r.Resource == psi.Memory {
			memory = r.Pressure.Some.Total
		}
	}
	return memory, any
}

// Quiet reports whether nothing speaks of pressure on memory: no task waited for it, no
// limit was come to, nobody was killed.
func (g *Group) Quiet() bool {
	memory, _ := g.stalled()
	if e := g.Events; e != nil {
		for _, n := range []*uint64{e.Low, e.High, e.Max, e.OOM, e.OOMKill} {
			if n != nil && *n > 0 {
				return false
			}
		}
	}
	return memory == 0
}

// ReadPressure reads the pressure of the host below proc, and of the groups, those with
// most of it first. With a path it reads that group alone.
func ReadPressure(proc string, path string) (*Pressure, error) {
	from := time.Now()
	p := &Pressure{Schema: PressureSchema, Host: []Reading{}, Groups: []Group{}}
	for _, r := range psi.Resources() {
		p.Host = append(p.Host, read(filepath.Join(proc, "pressure", string(r)), r))
	}
	refs, err := groups(cgroup.At(proc), path)
	if err != nil && path != "" {
		return nil, err
	}
	if err != nil {
		p.Unseen = guarantee.Text(err.Error())
	}
	for _, ref := range refs {
		if g := readGroup(ref); len(g.Readings) > 0 || g.Memory != nil || g.Unknown != "" {
			p.Groups = append(p.Groups, g)
		}
	}
	slices.SortStableFunc(p.Groups, byPressure)
	p.Window = guarantee.Since(from)
	return p, nil
}

func byPressure(a, b Group) int {
	am, aa := a.stalled()
	bm, ba := b.stalled()
	return cmp.Or(cmp.Compare(bm, am), cmp.Compare(ba, aa), strings.Compare(a.Path, b.Path))
}

func groups(f cgroup.FS, path string) ([]cgroup.Ref, error) {
	if path != "" {
		ref, err := f.Find(path)
		return []cgroup.Ref{ref}, err
	}
	var all []cgroup.Ref
	var errs []error
	for _, controller := range []string{"", "memory"} {
		refs, err := f.Groups(controller)
		if !errors.Is(err, cgroup.ErrNoController) {
			errs = append(errs, err)
		}
		all = append(all, refs...)
	}
	err := errors.Join(errs...)
	if err == nil && len(all) == 0 {
		err = cgroup.ErrNoController
	}
	return all, err
}

func read(path string, r psi.Resource) Reading {
	p, err := psi.Read(path)
	if err != nil {
		return Reading{Resource: r, Unknown: guarantee.Text(err.Error())}
	}
	return Reading{Resource: r, Pressure: &p}
}

func readGroup(ref cgroup.Ref) Group {
	g := Group{Ref: ref, Readings: []Reading{}}
	g.Path, g.Dir = guarantee.Text(ref.Path), guarantee.Text(ref.Dir)
	if ref.Version == 2 {
		for _, r := range psi.Resources() {
			if one := read(filepath.Join(ref.Dir, string(r)+".pressure"), r); one.Pressure != nil {
				g.Readings = append(g.Readings, one)
			}
		}
	}
	memory, err := cgroup.ReadMemory(ref.Dir)
	if errors.Is(err, cgroup.ErrNoController) {
		return g
	}
	if err == nil {
		g.Memory = &memory
		var events cgroup.Events
		if events, err = cgroup.ReadEvents(ref.Dir); err == nil {
			g.Events = &events
		}
	}
	if err != nil {
		g.Unknown = guarantee.Text(err.Error())
	}
	return g
}

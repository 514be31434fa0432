package audit

import (
	"context"
	"encoding/json"
	"io"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
)

// MemfdList is all memfds and secret memory that were seen, to be shown.
type MemfdList struct {
	Files    []*memfd.File
	Window   guarantee.Window
	Coverage guarantee.Coverage
}

// ListMemfds looks for memfds and secret memory in all processes. progress is told how
// many have been read; nil for nobody.
func ListMemfds(ctx context.Context, proc process.FS, progress func(done, total int)) (*MemfdList, error) {
	a := &auditor{Config: Config{Proc: proc, Scope: []Selector{nobody}, Progress: progress}, start: now()}
	var err error
	if a.devices, err = memfd.LearnDevices(); err != nil {
		return nil, err
	}
	subjects, err := a.subjects(ctx)
	if err != nil {
		return nil, err
	}
	defer release(subjects)
	return &MemfdList{
		Files:    inventory(subjects, a.devices).Files(),
		Window:   guarantee.Since(a.start),
		Coverage: *a.coverage(subjects),
	}, nil
}

// nobody selects no process: none is judged, all are read by maps alone.
var nobody = Selector{}

// MemfdSchema names the JSON form of a [MemfdList].
const MemfdSchema = "safevma.memfds/v1"

type memfdUser struct {
	PID       int      `json:"pid"`
	StartTime uint64   `json:"start_time"`
	Name      string   `json:"name"`
	FDs       []int    `json:"fds,omitempty"`
	Maps      []string `json:"maps,omitempty"` // "start-end perms"
}

// WriteJSON writes the list as JSON.
func (l *MemfdList) WriteJSON(w io.Writer) error {
	type file struct {
		Name       string      `json:"name"`
		Kind       string      `json:"kind"`
		Device     string      `json:"device"`
		Inode      uint64      `json:"inode"`
		Unknown    string      `json:"unknown,omitempty"` // why what follows is null
		Size       *int64      `json:"size"`
		Allocated  *int64      `json:"allocated"`
		Mode       *uint32     `json:"mode"`
		UID        *uint32     `json:"uid"`
		Executable *bool       `json:"executable"`
		Seals      []string    `json:"seals"` // null where they are unknown
		Holders    []memfdUser `json:"holders"`
		Mappers    []memfdUser `json:"mappers"`
		Executing  []memfdUser `json:"executing"`
	}
	out := struct {
		Schema   string             `json:"schema"`
		Window   guarantee.Window   `json:"window"`
		Files    []file             `json:"files"`
		Coverage guarantee.Coverage `json:"coverage"`
	}{MemfdSchema, l.Window, []file{}, l.Coverage}
	for _, f := range l.Files {
		facts := memfdFacts(f, nil)
		one := file{Name: facts.Name, Kind: facts.Kind, Device: facts.Device, Inode: f.ID.Inode,
			Holders: holders(f), Mappers: mappers(f), Executing: executing(f)}
		if f.AttributesErr != nil {
			one.Unknown = guarantee.Text(f.AttributesErr.Error())
		} else {
			mode, executable := f.Mode&0o7777, f.Executable()
			one.Size, one.Allocated, one.Mode, one.UID, one.Executable = &f.Size, &f.Allocated, &mode, &f.UID, &executable
			if _, unknown := facts.Unknown["seals"]; !unknown {
				one.Seals = append([]string{}, facts.Seals...)
			}
		}
		out.Files = append(out.Files, one)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func user(p memfd.Process) memfdUser {
	return memfdUser{PID: p.PID, StartTime: p.StartTime, Name: guarantee.Text(p.Comm)}
}

func holders(f *memfd.File) []memfdUser {
	all := []memfdUser{}
	for _, h := range f.Holders {
		u := user(h.Process)
		for _, fd := range h.FDs {
			u.FDs = append(u.FDs, fd.FD)
		}
		all = append(all, u)
	}
	return all
}

func mappers(f *memfd.File) []memfdUser {
	all := []memfdUser{}
	for _, m := range f.Mappers {
		if last := len(all) - 1; last < 0 || all[last].PID != m.PID || all[last].StartTime != m.StartTime {
			all = append(all, user(m.Process))
		}
		u := &all[len(all)-1]
		u.Maps = append(u.Maps, hexadecimal(m.Start)+"-"+hexadecimal(m.End)+" "+m.Perms)
	}
	return all
}

func executing(f *memfd.File) []memfdUser {
	all := []memfdUser{}
	for _, p := range f.Executing {
		all = append(all, user(p))
	}
	return all
}

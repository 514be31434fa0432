package access

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// newStart says where and when.
func newStart(program string, absent []string) (*recording.Start, error) {
	u, err := sys.Uname()
	if err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	now, err := sys.Monotonic()
	return &recording.Start{Source: "tracefs", Program: program, Host: u.Node, Kernel: u.Release, BootID: strings.TrimSpace(string(boot)),
		Time: time.Now().UTC(), Monotonic: int64(now), Absent: absent}, err
}

// readSetup reads how is watched, and reports whether that is new. It only reads; where
// the interface is hidden or being changed, what was known stays.
func (r *recorder) readSetup() (changed bool, err error) {
	now, err := sys.Monotonic()
	if err != nil {
		return false, err
	}
	contexts, err := contexts(r.damon)
	if err != nil {
		if r.setup == nil {
			r.setup = &recording.Setup{Time: int64(now), Contexts: []recording.Context{}}
		}
		return false, nil // what events tell does not depend on it
	}
	text, err := json.Marshal(contexts)
	if err != nil || string(text) == r.setupText {
		return false, err
	}
	r.setupText, r.setup = string(text), &recording.Setup{Time: int64(now), Contexts: contexts}
	return true, nil
}

// writeSetup writes how is watched, where that is new.
func (r *recorder) writeSetup() error {
	changed, err := r.readSetup()
	if err != nil || !changed {
		return err
	}
	return r.file.Write(r.setup)
}

// contexts lists what each thread watches.
func contexts(f damon.FS) ([]recording.Context, error) {
	list := []recording.Context{}
	in, err := f.Read()
	if err != nil {
		return nil, err
	}
	for i := range in.Kdamonds {
		k := &in.Kdamonds[i]
		if k.State != damon.On {
			continue
		}
		for j := range k.Contexts {
			list = append(list, ofInterface(k, i, j))
		}
	}
	modules, err := f.Modules()
	if errors.Is(err, damon.ErrDenied) || err == nil && modules == nil {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	if m := modules.Reclaim; m != nil {
		list = appendModule(list, damon.ByReclaim, m.Enabled, &m.ModuleWatch)
	}
	if m := modules.LRUSort; m != nil {
		list = appendModule(list, damon.ByLRUSort, m.Enabled, &m.ModuleWatch)
	}
	return list, nil
}

func ofInterface(k *damon.Kdamond, number, context int) recording.Context {
	c := &k.Contexts[context]
	out := recording.Context{Thread: k.PID, Kdamond: number, Context: context, Owner: damon.ByInterface, Operations: c.Operations, AddrUnit: 1,
		Intervals: c.Attrs.Intervals, Regions: c.Attrs.Regions}
	if c.AddrUnit != nil {
		out.AddrUnit = *c.AddrUnit
	}
	if c.Operations != damon.PAddr {
		for _, t := range c.Targets {
			out.PIDs = append(out.PIDs, t.PID)
		}
	}
	return out
}

func appendModule(list []recording.Context, owner damon.Owner, enabled bool, m *damon.ModuleWatch) []recording.Context {
	if !enabled || m.KdamondPID == nil || *m.KdamondPID <= 0 {
		return list
	}
	c := recording.Context{Thread: *m.KdamondPID, Owner: owner, Operations: damon.PAddr, AddrUnit: 1}
	for _, v := range []struct{ to, from *uint64 }{{&c.Intervals.Sample, m.Sample}, {&c.Intervals.Aggr, m.Aggr}, {&c.Regions.Min, m.MinRegions},
		{&c.Regions.Max, m.MaxRegions}, {&c.AddrUnit, m.AddrUnit}} {
		if v.from != nil {
			*v.to = *v.from
		}
	}
	return append(list, c)
}

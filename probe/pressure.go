package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/psi"
)

func init() { stages["thrash"] = thrashStage }

// thrashStage touches the pages of a file that does not fit into the limit of its group, over
// and over, for so many milliseconds: it waits for pages that were there before.
func thrashStage(t *trial, args []string) []Answer {
	ms, _ := strconv.Atoi(args[1])
	f, err := os.Open(args[0])
	if err != nil {
		return []Answer{answer(err)}
	}
	st, err := f.Stat()
	if err != nil {
		return []Answer{answer(err)}
	}
	b := t.mapped(int(st.Size())/pageSize, sys.ProtRead, shared, f)
	t.must("MADV_RANDOM", sys.Madvise(b, sys.MadvRandom))
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); ; {
		for at := 0; at < len(b); at += pageSize {
			sink = b[at]
			if time.Now().After(end) {
				return []Answer{OK}
			}
		}
	}
}

// pressed says how a trigger behaved.
type pressed struct {
	fired bool
	grown time.Duration // of the total meanwhile
}

// psiProbes are about being told of pressure in the own group.
func psiProbes() []Probe {
	const (
		limit     = 48 << 20
		window    = 2 * time.Second // what needs no privilege
		threshold = 100 * time.Millisecond
	)
	needs := Needs{Cgroup: limit, Folder: true, Limit: 40 * time.Second, Privilege: "the right to make cgroups"}
	file := func(t *trial) string {
		if t.request.Unified == "" {
			t.stop(Missing, "no cgroup of version 2, of which the kernel counts the pressure")
		}
		if _, err := psi.Read(t.pressureFile()); err != nil {
			t.stop(kind(err), "%v", err)
		}
		f := t.file("file", limit*3/2/pageSize)
		t.must("fsync", f.Sync())
		f.Close()
		return filepath.Join(t.dir, "file")
	}
	// watch sets a trigger, makes pressure for a time, and waits for one window more.
	watch := func(t *trial, file string) func(ms int) pressed {
		return func(ms int) pressed {
			before, err := psi.Read(t.pressureFile())
			t.must("the pressure", err)
			trigger, err := psi.NewTrigger(t.pressureFile(), "some", threshold, window)
			t.must("a trigger", err)
			defer trigger.Close()
			if ms > 0 {
				_, err = t.stage("thrash", syscall.SysProcAttr{}, nil, file, strconv.Itoa(ms))
				t.must("pressure", err)
			}
			fired, err := trigger.Wait(window + time.Second)
			t.must("waiting for the trigger", err)
			after, err := psi.Read(t.pressureFile())
			t.must("the pressure", err)
			return pressed{fired, after.Some.Total - before.Some.Total}
		}
	}
	say := func(t *trial, p pressed) Answer {
		t.note("pressure", "%v of stall, fired: %v", p.grown, p.fired)
		enough := p.grown > threshold
		switch {
		case p.fired && enough:
			return "fired, with pressure"
		case p.fired:
			return "fired, without pressure"
		case enough:
			return "silent, with pressure"
		}
		return "silent, without pressure"
	}
	return []Probe{{
		ID: "psi-fires", Subject: Residency, Since: "5.2", Source: "Documentation/accounting/psi.rst", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger of memory pressure fires where tasks stall for longer than its threshold",
		Experiment: "a trigger at 100 ms in 2 s on an own group; a process in it that waits for pages, for 700 ms", Control: "no such process",
		Oracle: "fired, with pressure: confirmed; silent, with pressure: refuted", Cleanup: "the groups and the file are removed",
		run: func(t *trial) {
			f := file(t)
			// First the control: pressure that has been leaves traces, see psi-false.
			quiet := watch(t, f)(0)
			compare(t, experiment[int]{try: "a trigger", do: func(ms int) Answer {
				if ms == 0 {
					return say(t, quiet)
				}
				return say(t, watch(t, f)(ms))
			},
				on: "a group with pressure", subject: 700, confirms: []Answer{"fired, with pressure"}, refutes: []Answer{"silent, with pressure"},
				controls: []control[int]{{"a group without", 0, "silent, without pressure"}}})
		},
	}, {
		ID: "psi-false", Row: "PSI-UNPRIV", Subject: Residency, Since: "6.5", Source: "Documentation/accounting/psi.rst; oven-sh/bun#42784", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger does not fire for pressure that was there before it was set",
		Experiment: "700 ms of pressure in an own group; then a trigger at 100 ms in 2 s, and 20 ms of pressure", Control: "700 ms of pressure after it was set",
		Oracle: "silent, without pressure: confirmed; fired, without pressure: refuted", Cleanup: "the groups and the file are removed",
		Remedy: "Compare total= before and after an event; drop the first event that growth does not explain.",
		run: func(t *trial) {
			f := file(t)
			_, err := t.stage("thrash", syscall.SysProcAttr{}, nil, f, "700")
			t.must("pressure", err)
			time.Sleep(window + window/4)
			compare(t, experiment[int]{try: "a trigger", do: func(ms int) Answer { return say(t, watch(t, f)(ms)) },
				on: "a group that had pressure before", subject: 20, confirms: []Answer{"silent, without pressure"}, refutes: []Answer{"fired, without pressure"},
				controls: []control[int]{{"a group that has it now", 700, "fired, with pressure"}}})
		},
	}}
}

func (t *trial) pressureFile() string { return filepath.Join(t.request.Unified, "memory.pressure") }

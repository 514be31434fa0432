package probe

import (
	"math/rand/v2"
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
// and over: it waits for pages that were there before. It does so until the pressure of the
// group has grown by so many microseconds, or for eight seconds.
func thrashStage(t *trial, args []string) []Answer {
	file, pressure := args[0], args[1]
	wanted, _ := time.ParseDuration(args[2] + "us")
	before, err := psi.Read(pressure)
	if err != nil {
		return []Answer{answer(err)}
	}
	f, err := os.Open(file)
	if err != nil {
		return []Answer{answer(err)}
	}
	st, err := f.Stat()
	if err != nil {
		return []Answer{answer(err)}
	}
	b := t.mapped(int(st.Size())/pageSize, sys.ProtRead, shared, f)
	t.must("MADV_RANDOM", sys.Madvise(b, sys.MadvRandom))
	// In no order, so that the kernel finds pages come back that it has just taken away.
	random := rand.New(rand.NewPCG(1, 2))
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
		for range 512 {
			sink.Store(uint32(b[random.IntN(len(b))]))
		}
		now, err := psi.Read(pressure)
		if err != nil {
			return []Answer{answer(err)}
		}
		if now.Some.Total-before.Some.Total >= wanted {
			break
		}
	}
	return []Answer{OK}
}

// The trigger of these probes.
const (
	psiWindow    = 2 * time.Second // what needs no privilege
	psiThreshold = 15 * time.Millisecond
)

// pressed says how a trigger behaved.
type pressed struct {
	fired bool
	grown time.Duration // of the total meanwhile
	took  time.Duration // the pressure that was made
}

// answer blames a trigger that is silent only where all of the pressure came within one window.
func (p pressed) answer() Answer {
	enough := p.grown > psiThreshold
	switch {
	case p.fired && enough:
		return "fired, with pressure"
	case p.fired:
		return "fired, without pressure"
	case enough && p.took > psiWindow:
		return answerf("silent, with pressure spread over %v", p.took.Round(time.Second))
	case enough:
		return "silent, with pressure"
	}
	return "silent, without pressure"
}

// psiProbes are about being told of pressure in the own group.
func psiProbes() []Probe {
	const (
		limit = 48 << 20
		// What pressure is made, in microseconds of stall.
		much, little = 60000, 100
	)
	needs := Needs{Cgroup: limit, Folder: true, Limit: 40 * time.Second, Privilege: "the right to make cgroups"}
	counted := func(t *trial) {
		if t.request.Unified == "" {
			t.stop(Missing, "no cgroup of version 2, of which the kernel counts the pressure")
		}
		if _, err := psi.Read(t.pressureFile()); err != nil {
			t.stop(kind(err), "%v", err)
		}
		t.onDisk()
	}
	file := func(t *trial) string {
		f := t.file("file", limit*2/pageSize)
		t.must("fsync", f.Sync())
		f.Close()
		return filepath.Join(t.dir, "file")
	}
	// watch sets a trigger, makes pressure for a time, and waits for one window more.
	watch := func(t *trial, file string) func(us int) pressed {
		return func(us int) pressed {
			before, err := psi.Read(t.pressureFile())
			t.must("the pressure", err)
			trigger, err := psi.NewTrigger(t.pressureFile(), "some", psiThreshold, psiWindow)
			t.must("a trigger", err)
			defer trigger.Close()
			start := time.Now()
			if us > 0 && t.request.Sabotage == "" {
				_, err = t.stage("thrash", syscall.SysProcAttr{}, nil, file, t.pressureFile(), strconv.Itoa(us))
				t.must("pressure", err)
			}
			took := time.Since(start)
			fired, err := trigger.Wait(t.span(psiWindow + time.Second))
			t.must("waiting for the trigger", err)
			after, err := psi.Read(t.pressureFile())
			t.must("the pressure", err)
			return pressed{fired, after.Some.Total - before.Some.Total, took}
		}
	}
	say := func(t *trial, p pressed) Answer {
		t.note("pressure", "%v of stall in %v, fired: %v", p.grown, p.took.Round(time.Millisecond), p.fired)
		return p.answer()
	}
	return []Probe{{
		ID: "psi-fires", Subject: Residency, Since: "5.2", Source: "Documentation/accounting/psi.rst", Needs: needs,
		Requirement: "SV-OOM-01",
		Claim:       "a trigger of memory pressure fires where tasks stall for longer than its threshold",
		Experiment:  "a trigger at 15 ms in 2 s on an own group; a process in it that waits for pages, for 60 ms at least",
		Control:     "no such process",
		Oracle:      "fired, with pressure: confirmed; silent, with pressure: refuted",
		Cleanup:     "the groups and the file are removed",
		run: func(t *trial) {
			counted(t)
			// First the control: pressure that has been leaves traces, see psi-false.
			quiet := watch(t, "")(0)
			f := file(t)
			compare(t, experiment[int]{try: "a trigger", do: func(us int) Answer {
				if us == 0 {
					return say(t, quiet)
				}
				return say(t, watch(t, f)(us))
			},
				on: "a group with pressure", subject: much, confirms: []Answer{"fired, with pressure"},
				refutes:  []Answer{"silent, with pressure"},
				controls: []control[int]{{"a group without", 0, "silent, without pressure"}}})
		},
	}, {
		ID: "psi-false", Row: "PSI-UNPRIV", Subject: Residency, Since: "6.5",
		Source: "Documentation/accounting/psi.rst; oven-sh/bun#42784", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger does not fire for pressure that was there before it was set",
		Experiment: "60 ms of stall in an own group; then a trigger at 15 ms in 2 s, and a tenth of a millisecond more",
		Control:    "60 ms of stall after it was set",
		Oracle:     "silent, without pressure: confirmed; fired, without pressure: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Compare total= before and after an event; drop the first event that growth does not explain.",
		run: func(t *trial) {
			counted(t)
			// The trigger is to be one of a process without CAP_SYS_RESOURCE.
			t.must("giving up capabilities", sys.DropCapabilities())
			f := file(t)
			if t.request.Sabotage == "" {
				_, err := t.stage("thrash", syscall.SysProcAttr{}, nil, f, t.pressureFile(), strconv.Itoa(much))
				t.must("pressure", err)
			}
			time.Sleep(t.span(psiWindow + psiWindow/4))
			compare(t, experiment[int]{try: "a trigger", do: func(us int) Answer { return say(t, watch(t, f)(us)) },
				on: "a group that had pressure before", subject: little, confirms: []Answer{"silent, without pressure"},
				refutes:  []Answer{"fired, without pressure"},
				controls: []control[int]{{"a group that has it now", much, "fired, with pressure"}}})
		},
	}}
}

// onDisk stops the probe where temporary files are memory: a process does not wait for those,
// and they count against the limit of its group.
func (t *trial) onDisk() {
	dir, err := os.Open(t.dir)
	t.must("the temporary folder", err)
	defer dir.Close()
	magic, err := sys.FileSystem(dir)
	t.must("statfs", err)
	if magic == sys.MagicTmpfs || magic == sys.MagicRamfs {
		t.stop(Missing, "%s is in memory; set TMPDIR to a folder on a disk", t.dir)
	}
}

func (t *trial) pressureFile() string { return filepath.Join(t.request.Unified, "memory.pressure") }

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
// group has grown by so many microseconds, or for ten seconds. It reads the pressure no more
// often than it has waited for so long by its own clock: a reader keeps triggers from firing,
// see psi-starved.
func thrashStage(t *trial, args []string) []Answer {
	file, pressure := args[0], args[1]
	wanted, _ := time.ParseDuration(args[2] + "us")
	before, err := psi.Read(pressure)
	if err != nil {
		return []Answer{answer(err)}
	}
	load, err := t.randomLoads(file)
	if err != nil {
		return []Answer{answer(err)}
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		for waited := time.Duration(0); waited < wanted && time.Now().Before(end); {
			start := time.Now()
			load()
			if d := time.Since(start); d > 20*time.Microsecond {
				waited += d
			}
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

// randomLoads returns what loads from the pages of a file in no order, so that the kernel
// finds pages come back that it has just taken away.
func (t *trial) randomLoads(file string) (load func(), err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := t.mapped(int(st.Size())/pageSize, sys.ProtRead, shared, f)
	t.must("MADV_RANDOM", sys.Madvise(b, sys.MadvRandom))
	random := rand.New(rand.NewPCG(1, 2))
	return func() { sink.Store(uint32(b[random.IntN(len(b))])) }, nil
}

// pressed says how a trigger behaved.
type pressed struct {
	fired bool
	grown time.Duration // of the total meanwhile
}

const (
	pressureLimit     = 48 << 20        // of the group, in bytes
	pressureWindow    = 2 * time.Second // what needs no privilege
	pressureThreshold = 15 * time.Millisecond
	// What pressure is made, in microseconds of stall.
	much, little = 60000, 100
)

// countsPressure stops the probe where the pressure of the group is not counted.
func (t *trial) countsPressure() {
	if t.request.Unified == "" {
		t.stop(Missing, "no cgroup of version 2, of which the kernel counts the pressure")
	}
	if _, err := psi.Read(t.pressureFile()); err != nil {
		t.stop(kind(err), "%v", err)
	}
}

// bigFile makes a file that does not fit into the group, and returns its path.
func (t *trial) bigFile() string {
	f := t.file("file", pressureLimit*2/pageSize)
	t.must("fsync", f.Sync())
	f.Close()
	return filepath.Join(t.dir, "file")
}

// watchPressure sets a trigger, makes pressure for so many microseconds, and waits for two windows
// more: an event may come a window late where somebody read the file at the wrong moment.
func (t *trial) watchPressure(file string, us int) pressed {
	before, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	trigger, err := psi.NewTrigger(t.pressureFile(), "some", pressureThreshold, pressureWindow)
	t.must("a trigger", err)
	defer trigger.Close()
	if us > 0 {
		t.press(file, us)
	}
	fired, err := trigger.Wait(t.span(2*pressureWindow + time.Second))
	t.must("waiting for the trigger", err)
	after, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	return pressed{fired, after.Some.Total - before.Some.Total}
}

// press makes pressure.
func (t *trial) press(file string, us int) {
	if t.request.Sabotage == "" {
		_, err := t.stage("thrash", syscall.SysProcAttr{}, nil, file, t.pressureFile(), strconv.Itoa(us))
		t.must("pressure", err)
	}
}

func (t *trial) behaved(got pressed) Answer {
	t.note("pressure", "%v of stall, fired: %v", got.grown, got.fired)
	enough := got.grown > pressureThreshold
	switch {
	case got.fired && enough:
		return "fired, with pressure"
	case got.fired:
		return "fired, without pressure"
	case enough:
		return "silent, with pressure"
	}
	return "silent, without pressure"
}

// psiProbes are about being told of pressure in the own group.
func psiProbes() []Probe {
	needs := Needs{Cgroup: pressureLimit, Folder: true, Limit: 90 * time.Second, Privilege: "the right to make cgroups"}
	return append([]Probe{{
		ID: "psi-fires", Subject: Residency, Since: "5.2", Source: "Documentation/accounting/psi.rst", Needs: needs,
		Requirement: "SV-OOM-01",
		Claim:       "a trigger of memory pressure fires where tasks stall for longer than its threshold",
		Experiment:  "a trigger at 15 ms in 2 s on an own group; a process in it that waits for pages, for 60 ms at least",
		Control:     "no such process",
		Oracle:      "fired, with pressure: confirmed; silent, with pressure: refuted",
		Cleanup:     "the groups and the file are removed",
		run: func(t *trial) {
			t.countsPressure()
			// First the control: pressure that has been leaves traces, see psi-false.
			quiet := t.watchPressure("", 0)
			f := t.bigFile()
			compare(t, experiment[int]{try: "a trigger", do: func(us int) Answer {
				if us == 0 {
					return t.behaved(quiet)
				}
				return t.behaved(t.watchPressure(f, us))
			},
				on: "a group with pressure", subject: much, confirms: []Answer{"fired, with pressure"},
				refutes:  []Answer{"silent, with pressure"},
				controls: []control[int]{{"a group without", 0, "silent, without pressure"}}})
		},
	}, {
		ID: "psi-false", Row: "PSI-UNPRIV", Subject: Residency, Since: "6.5",
		Source: "Documentation/accounting/psi.rst; oven-sh/bun#42784", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger does not fire for pressure that was there before it was set",
		Experiment: "60 ms of stall in an own group; then a trigger at 15 ms in 2 s, and a tenth of a millisecond more; at most five times",
		Control:    "60 ms of stall after it was set",
		Oracle:     "silent, without pressure, each time: confirmed; fired, without pressure, once: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Compare total= before and after an event; drop the first event that growth does not explain.",
		run: func(t *trial) {
			t.countsPressure()
			// The trigger is to be one of a process without CAP_SYS_RESOURCE.
			t.must("giving up capabilities", sys.DropCapabilities())
			f := t.bigFile()
			before := func() {
				t.press(f, much)
				time.Sleep(t.span(pressureWindow + pressureWindow/4))
			}
			before()
			compare(t, experiment[int]{try: "a trigger", do: func(us int) Answer {
				a := t.behaved(t.watchPressure(f, us))
				// It need not happen each time, and on a busy machine even one page may be waited for
				// for too long.
				for tries := 1; us == little && a != "fired, without pressure" && tries < 5 && t.request.Sabotage == ""; tries++ {
					before()
					a = t.behaved(t.watchPressure(f, us))
				}
				return a
			},
				on: "a group that had pressure before", subject: little, confirms: []Answer{"silent, without pressure"},
				refutes:  []Answer{"fired, without pressure"},
				controls: []control[int]{{"a group that has it now", much, "fired, with pressure"}}})
		},
	}}, readPressureProbes(needs)...)
}

func (t *trial) pressureFile() string { return filepath.Join(t.request.Unified, "memory.pressure") }

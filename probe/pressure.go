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

func init() { stages["faults"] = faultsStage }

// faultsStage touches the pages of a file that does not fit into the limit of its group, over
// and over, until it has waited for so many of them that were there before, or for ten seconds.
// It says how many they were. It does not read the pressure: a reader takes from triggers what
// they would tell, see psi-starved.
func faultsStage(t *trial, args []string) []Answer {
	file, wanted := args[0], args[1]
	most, _ := strconv.ParseInt(wanted, 10, 64)
	load, err := t.randomLoads(file)
	if err != nil {
		return []Answer{answer(err)}
	}
	before, err := sys.MajorFaults()
	t.must("getrusage", err)
	faults := int64(0)
	for end := time.Now().Add(10 * time.Second); faults < most && time.Now().Before(end); {
		load()
		now, err := sys.MajorFaults()
		t.must("getrusage", err)
		faults = now - before
	}
	return []Answer{Answer(strconv.FormatInt(faults, 10))}
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
	from  time.Duration // what the total was before
}

// answer blames a trigger that is silent only where one of the windows that the pressure came
// in had enough of it, however it was spread over them.
func (p pressed) answer() Answer {
	enough := p.grown > psiThreshold
	switch {
	case p.fired && enough:
		return "fired, with pressure"
	case p.fired:
		return "fired, without pressure"
	case enough && p.grown/time.Duration(p.took/psiWindow+2) <= psiThreshold:
		return answerf("silent, with pressure spread over %v", p.took.Round(time.Second))
	case enough:
		return "silent, with pressure"
	}
	return "silent, without pressure"
}

const (
	pressureLimit = 48 << 20              // of the group, in bytes
	pressureMade  = 90 * time.Millisecond // about
)

// countsPressure stops the probe where the pressure of the group is not counted.
func (t *trial) countsPressure() {
	if t.request.Unified == "" {
		t.stop(Missing, "no cgroup of version 2, of which the kernel counts the pressure")
	}
	if _, err := psi.Read(t.pressureFile()); err != nil {
		t.stop(kind(err), "%v", err)
	}
	t.onDisk()
}

// bigFile makes a file that does not fit into the group, and returns its path.
func (t *trial) bigFile() string {
	f := t.file("file", pressureLimit*2/pageSize)
	t.must("fsync", f.Sync())
	f.Close()
	return filepath.Join(t.dir, "file")
}

// watchPressure sets a trigger, has a process wait for so many pages of the file, and waits for
// two windows more. Nobody reads the pressure meanwhile.
func (t *trial) watchPressure(file string, pages int) pressed {
	before, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	trigger, err := psi.NewTrigger(t.pressureFile(), "some", psiThreshold, psiWindow)
	t.must("a trigger", err)
	defer trigger.Close()
	start := time.Now()
	if pages > 0 {
		t.press(file, pages)
	}
	took := time.Since(start)
	fired, err := trigger.Wait(t.span(2*psiWindow + time.Second))
	t.must("waiting for the trigger", err)
	after, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	return pressed{fired, after.Some.Total - before.Some.Total, took, before.Some.Total}
}

// total is the sum of stalls.
func (t *trial) total() time.Duration {
	p, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	return p.Some.Total
}

// press has a process wait for pages of the file, and returns how many they were.
func (t *trial) press(file string, pages int) int {
	if t.request.Sabotage != "" {
		pages = min(pages, 100)
	}
	answers, err := t.stage("faults", syscall.SysProcAttr{}, nil, file, strconv.Itoa(pages))
	t.must("a process that waits for pages", err)
	faults, err := strconv.Atoi(string(answers[0]))
	if err != nil {
		t.stop(Failed, "a process that waits for pages: %s", answers[0])
	}
	return faults
}

// stallOfFault returns by how much the sum of stalls grows for each page that a process waits
// for.
func (t *trial) stallOfFault(file string) time.Duration {
	before, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	faults := t.press(file, 8000)
	after, err := psi.Read(t.pressureFile())
	t.must("the pressure", err)
	each := (after.Some.Total - before.Some.Total) / time.Duration(max(faults, 1))
	t.note("stall", "%v for each of %d pages", each, faults)
	return each
}

// much is for how many pages a process must wait for pressure that is far above the threshold.
// It is measured, after a first time by which the kernel knows which pages come back.
func (t *trial) much(file string) int {
	t.press(file, 8000)
	each := max(t.stallOfFault(file), 100*time.Nanosecond)
	time.Sleep(t.span(psiWindow + psiWindow/4))
	return min(max(int(pressureMade/each), 1000), 200000)
}

func (t *trial) behaved(got pressed) Answer {
	t.note("pressure", "%v of stall in %v, fired: %v", got.grown, got.took.Round(time.Millisecond), got.fired)
	return got.answer()
}

// pressedHard is how a trigger behaves under pressure. Where a process waited for pages, and there was
// none, or too little for one window, it is tried again with more of them.
func (t *trial) pressedHard(file string, pages int) (a Answer) {
	for tries := 0; tries < 4; tries++ {
		got := t.watchPressure(file, pages)
		a = t.behaved(got)
		if got.decides() || t.request.Sabotage != "" {
			break
		}
		pages = scaled(pages, got.grown, pressureMade)
	}
	return a
}

// decides tells whether there was so much pressure that the trigger had to fire.
func (p pressed) decides() bool {
	a := p.answer()
	return a == "fired, with pressure" || a == "silent, with pressure"
}

// scaled is for how many pages to wait where so many made less pressure than wanted: what one costs
// differs by a factor of ten while others use the machine.
func scaled(pages int, made, wanted time.Duration) int {
	factor := min(max(float64(wanted)/float64(max(made, 1)), 1), 4)
	return int(min(float64(pages)*factor, 200000))
}

// psiProbes are about being told of pressure in the own group.
func psiProbes() []Probe {
	needs := Needs{Cgroup: pressureLimit, Folder: true, Limit: 4 * time.Minute, Privilege: "the right to make cgroups"}
	return append([]Probe{{
		ID: "psi-fires", Subject: Residency, Since: "5.2", Source: "Documentation/accounting/psi.rst", Needs: needs,
		Requirement: "SV-OOM-01",
		Claim:       "a trigger of memory pressure fires where tasks stall for longer than its threshold",
		Experiment:  "a trigger at 15 ms in 2 s on an own group; a process in it that waits for pages, for about 90 ms",
		Control:     "no such process",
		Oracle:      "fired, with pressure: confirmed; silent, with pressure: refuted",
		Cleanup:     "the groups and the file are removed",
		run: func(t *trial) {
			t.countsPressure()
			// First the control: pressure that has been leaves traces, see psi-false.
			quiet := t.watchPressure("", 0)
			f := t.bigFile()
			much := t.much(f)
			compare(t, experiment[int]{try: "a trigger", do: func(pages int) Answer {
				if pages == 0 {
					return t.behaved(quiet)
				}
				return t.pressedHard(f, pages)
			},
				on: "a group with pressure", subject: much, confirms: []Answer{"fired, with pressure"},
				refutes:  []Answer{"silent, with pressure"},
				controls: []control[int]{{"a group without", 0, "silent, without pressure"}}})
		},
	}, {
		ID: "psi-false", Row: "PSI-UNPRIV", Subject: Residency, Since: "6.5",
		Source: "Documentation/accounting/psi.rst; oven-sh/bun#42784", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger does not fire for pressure that was there before it was set",
		Experiment: "about 90 ms of stall in an own group; then a trigger at 15 ms in 2 s, and a little more stall; at most eight times",
		Control:    "90 ms of stall after it was set",
		Oracle:     "silent, without pressure, three times at least: confirmed; fired, without pressure, once: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Compare total= before and after an event; drop the first event that growth does not explain.",
		run: func(t *trial) {
			t.countsPressure()
			// The trigger is to be one of a process without CAP_SYS_RESOURCE.
			t.must("giving up capabilities", sys.DropCapabilities())
			f := t.bigFile()
			much := t.much(f)
			little := max(much/500, 1)
			compare(t, experiment[int]{try: "a trigger", do: func(pages int) Answer {
				if pages != little {
					return t.pressedHard(f, pages)
				}
				// It need not happen each time, and on a busy machine even one page may be waited
				// for for too long.
				a, silent := Answer(""), 0
				for tries := 0; tries < 8 && silent < 5; tries++ {
					last := t.total()
					t.press(f, much)
					time.Sleep(t.span(psiWindow + psiWindow/4))
					got := t.watchPressure(f, pages)
					made := got.from - last
					switch a = t.behaved(got); {
					case a == "fired, without pressure":
						return a
					case made < 3*psiThreshold: // silence says something where there was pressure to be confused by
						a = answerf("%s, after %v of pressure", a, made.Round(time.Millisecond))
						much = scaled(much, made, pressureMade)
					case a == "silent, without pressure":
						silent++
					}
				}
				if silent >= 3 {
					return "silent, without pressure"
				}
				return a + ", and not silent often enough"
			},
				on: "a group that had pressure before", subject: little, confirms: []Answer{"silent, without pressure"},
				refutes:  []Answer{"fired, without pressure"},
				controls: []control[int]{{"a group that has it now", much, "fired, with pressure"}}})
		},
	}}, readPressureProbes(needs)...)
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

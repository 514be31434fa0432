package probe

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/psi"
)

// readPressureProbes are about others who read a file of pressure, which everybody may.
func readPressureProbes(needs Needs) []Probe { return []Probe{psiStarved(needs), psiLost(needs)} }

// readAttempts is how often it is tried: on a busy machine a reader may come too late.
const readAttempts = 8

// enoughReads a second are several in each tick of the kernel.
const enoughReads = 1500

// psiStarved is about triggers. One without CAP_SYS_RESOURCE is looked at when the kernel's
// averages are due, every two seconds, by a worker of the kernel that comes a tick or two
// later. A reader who comes first has the averages made, and the worker has nothing to do.
func psiStarved(needs Needs) Probe {
	return Probe{
		ID: "psi-starved", Row: "PSI-READ", Subject: Residency, Since: "6.5",
		Source: "Documentation/accounting/psi.rst; Linux kernel/sched/psi.c, psi_show", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger without CAP_SYS_RESOURCE fires where tasks stall for longer than its threshold, whoever reads the file meanwhile",
		Experiment: "a trigger at 15 ms in 2 s on an own group, about 60 ms of stall, and three threads that read its file of pressure whenever the kernel's averages are due; at most eight times",
		Control:    "nobody reads the file",
		Oracle:     "fired, with pressure, each time: confirmed; silent, with pressure, once: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Give the watcher CAP_SYS_RESOURCE, or have it read total= itself beside its trigger.",
		run: func(t *trial) {
			t.countsPressure()
			_ = sys.RaisePriority(-20) // as far as it is allowed
			// Of this thread, which sets the trigger: readers are to be quick, for which they may
			// need theirs.
			t.must("giving up capabilities", sys.KeepCapabilities())
			f := t.bigFile()
			// Quickly, since each time that averages are due is one more to come first.
			const quick = pressureMade * 2 / 3
			much := t.much(f) * 2 / 3
			compare(t, experiment[bool]{try: "a trigger", do: func(read bool) Answer {
				if !read {
					return t.pressedHard(f, much)
				}
				a := Answer("")
				end := time.Now().Add(90 * time.Second)
				for tries := 0; a != "silent, with pressure" && tries < readAttempts && time.Now().Before(end); tries++ {
					due := t.averagesDue()
					stop := t.readPressure(func() { sleepUntilDue(due) })
					got := t.watchPressure(f, much)
					stop()
					a = t.behaved(got)
					if got.took < psiWindow {
						much = scaled(much, got.grown, quick)
					}
				}
				return a
			},
				on: "a group whose file of pressure is read", subject: true, confirms: []Answer{"fired, with pressure"},
				refutes:  []Answer{"silent, with pressure"},
				controls: []control[bool]{{"a group whose file is not read", false, "fired, with pressure"}}})
		},
	}
}

// readPressure has three threads read the file of pressure, each time after pause, until the
// returned function is called, which says how often they did.
func (t *trial) readPressure(pause func()) (stop func() (perSecond float64)) {
	var ended atomic.Bool
	var reads atomic.Uint64
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			runtime.LockOSThread()     // and never unlocked: the thread ends with this
			_ = sys.RaisePriority(-20) // as far as it is allowed
			for !ended.Load() {
				if _, err := psi.Read(t.pressureFile()); err != nil {
					return
				}
				reads.Add(1)
				pause()
			}
		})
	}
	start := time.Now()
	return func() float64 {
		ended.Store(true)
		readers.Wait()
		took := time.Since(start)
		t.note("reads", "%d in %v", reads.Load(), took.Round(time.Millisecond))
		return float64(reads.Load()) / took.Seconds()
	}
}

// averagesDue returns a time at which the kernel's averages were due, by which they are due
// ever after, every two seconds: they change when they are made, by a reader who comes first.
func (t *trial) averagesDue() time.Time {
	const close = 8 * time.Millisecond // between two readings; the averages were due between them
	var last float64
	var before time.Time
	for end := time.Now().Add(t.span(20 * time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		now := time.Now()
		p, err := psi.Read(t.pressureFile())
		t.must("the pressure", err)
		if p.Some.Avg10 != last && now.Sub(before) < close {
			return before
		}
		last, before = p.Some.Avg10, now
	}
	if t.request.Sabotage == "" {
		t.stop(Failed, "the averages of the group do not change")
	}
	return time.Now()
}

// sleepUntilDue returns when averages are due soon, or have been due a moment ago.
func sleepUntilDue(due time.Time) {
	const before, after = 40 * time.Millisecond, 40 * time.Millisecond
	since := time.Since(due.Add(-before)) % psiWindow
	if since > before+after {
		time.Sleep(psiWindow - since)
	}
}

// psiLost is about the sum of stalls. The kernel weighs what each processor has seen by the
// ticks that it was busy since the last reading: none, where that was less than a tick ago.
func psiLost(needs Needs) Probe {
	return Probe{
		ID: "psi-lost", Row: "PSI-READ", Subject: Residency, Since: "4.20",
		Source: "Documentation/accounting/psi.rst: total= \"tracks the total absolute stall time\"; Linux kernel/sched/psi.c, collect_percpu_times",
		Needs:  needs, Requirement: "SV-OOM-01",
		Claim:      "total= counts stalls, however often it is read",
		Experiment: "how much total= of an own group grows for each page that a process in it waits for, while three threads read it a thousand times a second each; at most eight times",
		Control:    "nobody reads it meanwhile",
		Oracle:     "about as much as before: confirmed; less than an eighth: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Read files of pressure once a second at most; keep others from reading them (mount /proc with subset=pid, take the right to enter the cgroup).",
		run: func(t *trial) {
			t.countsPressure()
			f := t.bigFile()
			t.press(f, 8000) // so that the kernel knows which pages come back
			compare(t, experiment[bool]{try: "growth of total= for each page that was waited for", do: func(read bool) Answer {
				wanted := Answer("about as much as before")
				if read {
					wanted = "less than an eighth"
				}
				a := Answer("")
				// While others use the machine an attempt takes up to five seconds, and one of two
				// reads too seldom. On an emulator all do.
				end := time.Now().Add(t.span(45 * time.Second))
				for tries := 0; a != wanted && tries < readAttempts && time.Now().Before(end); tries++ {
					a = t.lost(f, read)
				}
				return a
			},
				on: "a group whose file of pressure is read", subject: true, confirms: []Answer{"about as much as before"},
				refutes:  []Answer{"less than an eighth"},
				controls: []control[bool]{{"a group whose file is not read", false, "about as much as before"}}})
		},
	}
}

// lost says what part of the stalls is counted, of what is counted before and afterwards: that
// differs by a factor of two and more while others use the machine.
func (t *trial) lost(file string, read bool) Answer {
	before := t.stallOfFault(file)
	stop := func() float64 { return enoughReads }
	if read {
		stop = t.readPressure(func() { time.Sleep(200 * time.Microsecond) })
	}
	now := t.stallOfFault(file)
	reads := stop()
	a := share(now, min(before, t.stallOfFault(file)))
	if reads < enoughReads && a != "less than an eighth" {
		return "read too seldom"
	}
	return a
}

// share says what part of the usual something is.
func share(now, usual time.Duration) Answer {
	switch {
	case now < usual/8:
		return "less than an eighth"
	case now > usual/4:
		return "about as much as before"
	}
	return "between an eighth and a quarter"
}

package probe

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/psi"
)

// psiStarved is about others who read a file of pressure. A trigger without CAP_SYS_RESOURCE
// is looked at when the kernel's averages are due, every two seconds, by a worker of the
// kernel that comes a tick or two later. A reader that comes first has the averages made, and
// the trigger is looked at by nobody until they are due again.
func psiStarved(needs Needs) Probe {
	const attempts = 4
	return Probe{
		ID: "psi-starved", Row: "PSI-READ", Subject: Residency, Since: "6.5",
		Source: "Documentation/accounting/psi.rst; Linux kernel/sched/psi.c, psi_show", Needs: needs, Requirement: "SV-OOM-01",
		Claim:      "a trigger without CAP_SYS_RESOURCE fires where tasks stall for longer than its threshold, whoever reads the file meanwhile",
		Experiment: "a trigger at 15 ms in 2 s on an own group, 60 ms of stall, and two threads that read its file of pressure all the while; at most four times",
		Control:    "nobody reads the file",
		Oracle:     "fired, with pressure, each time: confirmed; silent, with pressure, once: refuted",
		Cleanup:    "the groups and the file are removed",
		Remedy:     "Give the watcher CAP_SYS_RESOURCE, or have it read total= itself beside its trigger.",
		run: func(t *trial) {
			t.countsPressure()
			t.must("giving up capabilities", sys.DropCapabilities())
			f := t.bigFile()
			compare(t, experiment[bool]{try: "a trigger", do: func(read bool) Answer {
				if !read {
					return t.behaved(t.watchPressure(f, much))
				}
				a := Answer("")
				for range attempts {
					if a = t.starved(f); a != "fired, with pressure" {
						break
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

// starved has two threads read the file of pressure for as long as a trigger is waited for.
func (t *trial) starved(file string) Answer {
	var stop atomic.Bool
	var reads atomic.Uint64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				if _, err := psi.Read(t.pressureFile()); err != nil {
					return
				}
				reads.Add(1)
			}
		})
	}
	start := time.Now()
	a := t.behaved(t.watchPressure(file, much))
	stop.Store(true)
	readers.Wait()
	t.note("reads", "%d in %v", reads.Load(), time.Since(start).Round(time.Millisecond))
	return a
}

// Package probe finds out by experiment what the running kernel really does with memory.
//
// A [Probe] takes one claim of a document (a manual page, a kernel document, an article)
// and tries it: with an attempt, on an object of which the claim speaks, and with the same
// attempt on other objects, the controls, of which the answer is known. A claim is
// confirmed or refuted by exact answers of the kernel, such as an errno; every other
// answer, and every control that does not give its own, leaves it unknown.
//
// # The rule about controls
//
// A method that can say one thing alone says nothing. So an answer counts only where, in
// the same process and by the same code, a control was made to give a different one. The
// rule is kept at run time, by [Run], for every experiment: see compare in experiment.go.
//
// # Isolation
//
// Each probe runs in a process of its own, which is this program started anew (see
// [Serve]), with a limit of time. What it does to its memory, limits, namespaces and
// privileges ends with it. A probe that hangs, crashes or says nothing is unknown, and
// [Result.Reason] says why. Processes that it starts die with it.
//
// # What a run does to the host
//
//   - No setting of the host is written. vm.memfd_noexec is written in fresh PID
//     namespaces alone, which have their own.
//   - Secret memory is taken out of the kernel's linear map, whose big pages the kernel
//     splits for that, until reboot. At most [SecretPages] pages are secret at any time in
//     all probes of a run together; [Footprint] reports them.
//   - Processes that use memory up are in an own cgroup with a limit.
//   - No probe asks the kernel for more memory than it uses, but for more than the
//     kernel could ever give.
//   - uprobes are perf events of the own process; BPF programs are run by them, or once by
//     hand. One is attached to a security hook for some milliseconds, and lets all threads
//     but its own through.
//   - Temporary files, cgroups and processes are removed at the end, also of probes that
//     are killed. A kill of the run itself (SIGKILL) leaves a cgroup and a folder, named
//     safevma-probe-PID, that a run an hour later removes.
//
// A run describes what was measured. It does not say that a kernel is safe.
package probe

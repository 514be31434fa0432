// Package cgroup reads control groups of versions 1 and 2, waits for what happens to their
// memory, and makes groups of its own for experiments.
//
// # Reading
//
// [FS.Groups] lists the groups of a hierarchy, [FS.Of] finds those of a process,
// [ReadMemory] and [ReadEvents] say the same of both versions as far as there is the same:
//
//	                     version 2            version 1
//	Memory.Current       memory.current       memory.usage_in_bytes
//	Memory.Peak          memory.peak (6.5)    memory.max_usage_in_bytes
//	Memory.Max           memory.max           memory.limit_in_bytes
//	Memory.High Low Min  memory.high low min  none
//	Memory.Soft          none                 memory.soft_limit_in_bytes
//	Events.Max           memory.events max    memory.failcnt + memory.memsw.failcnt
//	Events.OOMKill       memory.events        memory.oom_control
//
// What a group does not have is nil; of version 2 the root has next to nothing, and groups
// to which the controller is not handed on nothing at all: [ErrNoController].
//
// # Waiting
//
// [WatchEvents] waits for memory.events (version 2), [WatchPressure] for a level of
// memory.pressure_level and [WatchOOM] for memory.oom_control (version 1, both by
// cgroup.event_control; the kernel calls them deprecated). Pressure as time lost is in
// package psi, which knows groups of version 2 alone.
//
// # Own groups
//
// A group is made below the caller's own, in the hierarchy that has the memory controller
// (version 1 or 2), so that the limits which apply to the caller still apply; in version 2,
// where a group with processes can't have limited groups below it, also below the first
// group above that hands the controller on. No setting of a group that was there before is
// changed: where the controller would have to be switched on first (cgroup.subtree_control),
// there is [ErrNoController].
//
// Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst,
// Documentation/admin-guide/cgroup-v1/memory.rst.
package cgroup

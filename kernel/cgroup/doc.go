// Package cgroup makes control groups of its own for experiments, and removes them.
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

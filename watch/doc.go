// Package watch says what changes over time: pressure on memory, the CPU and I/O, of the
// host and of control groups. It joins what package psi knows of time lost and package
// cgroup of limits and events, and decides nothing.
package watch

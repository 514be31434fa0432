// Package tracefs reads tracepoints of the kernel as the kernel writes them, without perf
// and without trace-cmd: from an own instance, with buffers of its own, that nobody else
// reads and that is removed again.
//
//	i, err := tracefs.New(tracefs.Options{})   // mkdir instances/safevma-…
//	defer i.Close()                            // events off, rmdir
//	format, err := i.Enable("damon", "damon_aggregated")
//	for { err = i.Read(fn) }                   // what came since, in the order of time
//
// # Layout
//
// Where a field lies is read from the kernel's own descriptions (events/…/format,
// events/header_page), never known beforehand. Times are of CLOCK_MONOTONIC.
//
// # What is lost is counted
//
// Where the buffer of a CPU was full, the kernel drops events, and marks the next page
// that is read. [Instance.Read] passes these marks on; [Instance.Stats] are the kernel's
// own counters.
//
// # What it changes
//
// One directory below instances, while it is open. Where tracefs is mounted nowhere, it is
// mounted for this process alone, at no place of any mount table. What an instance leaves
// whose process was killed, [New] removes.
//
// Sources: Documentation/trace/ftrace.rst, Documentation/trace/ring-buffer-design.rst,
// include/linux/ring_buffer.h, kernel/trace/ring_buffer.c. The machine is little-endian.
package tracefs

// Package vma reads address spaces: which virtual memory areas a process has, what
// the kernel says of each, and which pages stand behind them.
//
// One type, [VMA], serves all sources:
//
//	source              call               what only it knows
//	/proc/PID/maps      [Reader.Maps]      the cheapest complete list
//	/proc/PID/smaps     [Reader.Smaps]     VmFlags, how pages are accounted
//	PROCMAP_QUERY       [Reader.Query]     filters in the kernel, build ids, exact names
//	smaps_rollup        [Reader.Rollup]    the sum, cheaply
//	pagemap             [Reader.Pages]     each page: present, swapped, frame number
//	PAGEMAP_SCAN        [Reader.Scan]      runs of pages of a category
//	kpagecount/flags    [Frames]           how often a frame is mapped, and as what
//
// A [Reader] streams: it calls back for each VMA, lends its buffers, and allocates
// nothing a VMA. Use one Reader a goroutine.
//
// # No silent short lists
//
// When a process ends or executes another program while it is read, the kernel does
// not fail the read: the list merely ends early, looking like a small process. So at
// the end of each list the Reader asks the same open file once more for its first
// byte. An address space that has one is still alive, and was alive all the while
// (an address space without users never comes back); one that has none is gone, and
// the read fails with [process.ErrGone]. A list that never had an entry fails with
// [ErrNoAddressSpace].
//
// A list that is complete is still not a snapshot: the kernel lets the process run
// between pages of text. What was mapped all the while is there. The documentation
// also promises that no two regions overlap (Documentation/filesystems/proc.rst), but
// that does not hold: when a VMA grows downwards or is merged behind the reader's
// back, Linux 6.18 lists it whole, from below the end of the one before. Each VMA
// does end higher than the one before it; a list that breaks that is malformed.
//
// Sources: proc_pid_maps(5), proc_pid_smaps(5), proc_pid_pagemap(5),
// Documentation/filesystems/proc.rst, Documentation/admin-guide/mm/pagemap.rst.
package vma

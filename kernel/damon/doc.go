// Package damon reads DAMON, by which the kernel watches which memory is used and acts upon
// it: the whole sysfs interface of Linux 6.18 with what newer kernels added, and the modules
// that use DAMON by themselves. It says what is wrong or surprising in a configuration
// ([Lint]), and which filter decides about a page ([Scheme.Explain]).
//
// # It changes nothing
//
// The package opens files for reading alone. What the kernel shows of statistics, tuned
// intervals and tried regions is what somebody last asked it to update, or what it has
// updated itself where refresh_ms is above 0: asking is a write, and is not done here.
//
// # Owners
//
// The interface has one owner: who writes nr_kdamonds removes all that there is. The kernel
// does not say who wrote it. [Read] tells apart the threads of the interface, those of
// modules, and those of neither.
//
// # Versions
//
// What a kernel can is told by which files it has ([FS.Capabilities]), never by its version.
// Fields of files that not all kernels have are nil where there is no such file; files that
// this package does not know are named in [Interface.Unknown]. Words that it does not know
// are kept.
//
// The tree is not read at one instant. Where somebody changes it meanwhile, reading fails
// with a file that is gone, or shows some of both.
//
// Sources: Documentation/admin-guide/mm/damon/usage.rst, Documentation/mm/damon/design.rst,
// mm/damon/sysfs.c, sysfs-schemes.c, core.c, paddr.c, vaddr.c, ops-common.c.
package damon

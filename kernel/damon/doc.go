// Package damon reads and sets up DAMON, by which the kernel watches which memory is used and
// acts upon it: the whole sysfs interface of Linux 6.18 with what newer kernels added, and the modules
// that use DAMON by themselves. It says what is wrong or surprising in a configuration
// ([Lint]), and which filter decides about a page ([Scheme.Explain]).
//
// # Reading
//
// All but [Control] opens files for reading alone. What the kernel shows of statistics, tuned
// intervals and tried regions is what somebody last asked it to update, or what it has
// updated itself where refresh_ms is above 0: asking is a write, [Control.Run].
//
// # Changing
//
// A [Control] makes what is there what is wanted: it takes a lock, sees whose the interface is,
// validates, writes only what differs ([Diff]) in the order that the kernel takes, compares
// all that the kernel then shows with what was wanted, and only then gives commands. Where any
// of that fails it puts back what was before, and says what it could not ([Failed]).
//
// A kernel may end a kdamond that it is told to commit what it refuses (Linux 6.12 does so
// without an error): then it runs again with its old set-up, as another thread. While somebody's
// command is carried out, or the kernel refreshes what it shows, files are busy; that is
// waited for, for ten seconds.
//
// # Owners
//
// The interface has one owner: who writes nr_kdamonds removes all that there is. The kernel
// does not say who wrote it. [FS.Status] tells apart the threads of the interface, those of
// modules, and those of neither. A [Control] keeps a record of what it made in
// /run/safevma: what is there and is not exactly what the record of this boot names (threads
// and set-up) is somebody else's, and is left alone unless the caller adopts it
// ([ErrForeign]). A program that is killed while it starts something leaves no record.
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

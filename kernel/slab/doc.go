// Package slab reads the kernel's allocator of small objects (SLUB): which caches there
// are, which of them are one cache under several names, what lies in them, and on which
// lists.
//
// # Merging
//
// The kernel makes one cache of several where size, alignment and flags allow, unless it
// was started with slab_nomerge: objects of different kinds then lie side by side in one
// page, and the memory of one that was freed is given to the other. A [Cache] has all the
// names that lead to it. [Cache.Domains] says which parts of the kernel they belong to:
// where there is more than one, a write past the end of an object of one part changes
// another part's ([Cache.Crosses]). The domains are this package's reading of the names
// (see [DomainOf]), not the kernel's.
//
// # What whom
//
// Names and merges are for everybody: links in /sys/kernel/slab. Sizes, flags and lists
// are files that root alone may read; for others [Cache.Detail] is nil and
// [Cache.Hidden] says why. A kernel without SLUB's sysfs has none of it; root still finds
// the caches in /proc/slabinfo ([FS.Info]), under one name each.
//
// Everything is a reading at one moment, cache by cache, while other CPUs allocate. Free
// objects in the slabs that a CPU works with count as used. An FS may be used by several
// goroutines.
//
// Sources: Documentation/ABI/testing/sysfs-kernel-slab, Documentation/admin-guide/mm/slab.rst,
// slabinfo(5), mm/slub.c (create_unique_id).
package slab

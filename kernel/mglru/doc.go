// Package mglru reads the multi-generational LRU, by which the kernel decides which pages
// to reclaim: whether it is on, the generations of each memory cgroup and NUMA node with
// their ages, and how much memory was used within which time; and asks it to age or evict.
//
// # Generations
//
// A [Generation] holds the pages that were seen used between its birth and the birth of the
// next, younger one. Numbers rise; the youngest is the hottest. So a page of generation n
// has been idle at least as long as generation n+1 is old, and at most as long as n is:
// [Node.Idle] says it like that. That is what the kernel has noticed: it looks at page
// tables when it ages, and a page that was never reclaimed for want of pressure may stand
// in an old generation although it is in use.
//
// # Versions
//
// The files in debugfs are no contract. [Parse] reads lru_gen, and lru_gen_full with its
// letters, which have changed over time: unknown ones are kept as they are. Without
// CONFIG_LRU_GEN there is [ErrAbsent]; a kernel that has it may have it switched off
// ([Settings.Enabled]), and then its generations are all empty.
//
// Sources: Documentation/admin-guide/mm/multigen_lru.rst, mm/vmscan.c
// (lru_gen_seq_show, lru_gen_seq_show_full, lru_gen_seq_write).
package mglru

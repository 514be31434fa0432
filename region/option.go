package region

// Option asks for a guarantee. Options compose; those that exclude each other are refused
// with [ErrConflict]: docs/region/pairs.md has the table.
type Option interface{ apply(*spec) }

// spec is what is asked for.
type spec struct {
	size   int
	has    set
	fill   func([]byte) error
	budget *Budget
}

func (s set) apply(to *spec) { to.has |= s }

// Secret asks for memory outside the kernel's linear map (memfd_secret(2), Linux 5.14): paths
// of the kernel that take pages by themselves, such as ptrace(2), process_vm_readv(2) or
// O_DIRECT, can't read it. No descriptor to it stays open, and a child does not inherit it.
// It brings NoDump, NoFork, NoExec, NoMerge and NoSwap, and Resident unless [OnUse] is asked.
//
// System calls that this process makes still copy from and to it, and root can read it from
// within this process (uprobes, BPF).
func Secret() Option { return secret }

// Resident asks that every page is in memory, and locked, when Map returns (mlock(2)). It
// brings NoSwap.
func Resident() Option { return resident }

// Guarded asks for inaccessible pages on both sides. The data ends at the upper one, but for at
// most 7 bytes that keep its begin aligned; what its pages have beside the data is filled with
// canaries, which [Region.Check] and Close look at.
//
// Guards don't count against the limit on locked memory. Big ordinary regions have guards
// without mappings of their own (MADV_GUARD_INSTALL, Linux 6.13) where the kernel has them.
func Guarded() Option { return guarded }

// Sealed asks that the mapping can't be changed: unmapped, replaced, moved, given another
// protection (mseal(2), Linux 6.10). Its content still can. It is so until the process ends, so
// Close recycles: the next region that is asked for with the same guarantees and as many pages
// gets this memory.
//
// A stale slice of it faults after Close, as of any region; only where Secret is asked too, and on
// kernels without guard marks (before 6.13), it shows zeroes, and later what the next owner writes.
func Sealed() Option { return sealed }

// Windowed asks that the memory is closed, and opened only inside [Region.Read] and
// [Region.Write]: by protection keys, for the calling thread alone, where the processor has
// them, else by mprotect(2), for all threads. Windows are counted and timed: [Region.Windows].
func Windowed() Option { return windowed }

// NoDump asks that core dumps leave it out (MADV_DONTDUMP).
func NoDump() Option { return noDump }

// NoFork asks that a child does not have it (MADV_DONTFORK).
func NoFork() Option { return noFork }

// WipeOnFork asks that a child finds zeroes in it (MADV_WIPEONFORK).
func WipeOnFork() Option { return wipeOnFork }

// NoExec asks that it is not executable, in no mapping. Where Secret or Sealed is asked too,
// nobody in the process can make it so later.
func NoExec() Option { return noExec }

// NoMerge asks that the kernel does not share its pages with equal ones (KSM).
func NoMerge() Option { return noMerge }

// NoSwap asks that it is locked, each page when it is touched (MLOCK_ONFAULT): it is never
// written to swap.
func NoSwap() Option { return noSwap }

type filled struct {
	has  set
	fill func([]byte) error
}

func (f filled) apply(to *spec) {
	to.has |= f.has
	to.fill = f.fill
}

// ReadOnly asks for memory that is filled once, and then can't be written by anyone: not by
// this process, and not through /proc/PID/mem, whose writes pass ordinary protection. It is a
// shared read-only mapping of a memfd that is sealed against writing and against execution, and
// the mapping is sealed. It brings Sealed, NoExec and NoMerge.
//
// The memory can be given back to nobody: after Close it stays mapped, and can be read through
// slices that are left. For tables that are made anew from time to time, see
// [ReadOnlyUntilClose].
//
// The slice that fill is given is the memory itself; it ends with the function. What fill
// returns as an error, Map returns.
func ReadOnly(fill func([]byte) error) Option { return filled{readOnly | sealed, fill} }

// ReadOnlyUntilClose is as [ReadOnly], but the mapping is not sealed, so that Close gives it
// back: nothing can write to the memory, but code in this process can put other memory in its
// place.
func ReadOnlyUntilClose(fill func([]byte) error) Option { return filled{readOnly, fill} }

type within struct{ budget *Budget }

func (w within) apply(to *spec) {
	to.has |= onUse
	to.budget = w.budget
}

// OnUse asks that memory is committed when it is first touched, within a budget: the sizes
// of all regions of a budget together never exceed it. With [Secret] a touch that the limit on
// locked memory forbids faults on newer kernels, where older ones let Map fail.
func OnUse(budget *Budget) Option { return within{budget} }

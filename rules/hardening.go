package rules

// hardening are the names in host.hardening: those of the kernel's configuration where
// there is one. One that the architecture does not have has no entry there.
var hardening = []struct{ name, meaning string }{
	{"SLAB_FREELIST_HARDENED", "pointers between free objects are mangled and checked"},
	{"SLAB_FREELIST_RANDOM", "free objects are handed out in random order"},
	{"RANDOM_KMALLOC_CACHES", "each place of allocation uses one of several caches"},
	{"SLAB_BUCKETS", "allocations whose size a user controls have caches of their own"},
	{"SLAB_NOMERGE", "caches of different kinds of objects are not merged"},
	{"INIT_ON_ALLOC", "memory is zeroed when it is allocated"},
	{"INIT_ON_FREE", "memory is zeroed when it is freed"},
	{"PAGE_POISONING", "free pages hold a pattern that is checked"},
	{"SLUB_DEBUG", "the general caches check their objects"},
	{"SHUFFLE_PAGE_ALLOCATOR", "free pages are in random order"},
	{"LIST_HARDENED", "list operations check the neighbours"},
	{"BUG_ON_DATA_CORRUPTION", "a corruption that a check finds stops the thread"},
	{"PANIC_ON_OOPS", "the host stops when the kernel has gone wrong"},
	{"HARDENED_USERCOPY", "copies from and to processes stay inside one object"},
	{"FORTIFY_SOURCE", "string and memory functions check known sizes"},
	{"UBSAN_BOUNDS", "indexes are checked against arrays of known size"},
	{"KFENCE", "some allocations lie between guard pages"},
	{"KASAN", "every access of the kernel is checked, in software"},
	{"KASAN_HW_TAGS", "every access of the kernel is checked, by memory tags (arm64)"},
	{"PAGE_TABLE_CHECK", "entries of page tables are checked for wrong sharing"},
	{"SCHED_STACK_END_CHECK", "the end of kernel stacks is checked"},
	{"DEBUG_VIRTUAL", "translations of kernel addresses are checked"},
	{"RANDOMIZE_BASE", "the kernel lies at a random address"},
	{"RANDOMIZE_KSTACK_OFFSET", "the kernel's stack begins at a random offset"},
	{"VMAP_STACK", "kernel stacks lie between guard pages"},
	{"STACKPROTECTOR_STRONG", "kernel functions check a canary"},
	{"INIT_STACK_ALL", "variables on the kernel's stack are initialised"},
	{"STRICT_KERNEL_RWX", "the kernel's code and constants are read-only"},
	{"STRICT_MODULE_RWX", "the modules' code and constants are read-only"},
	{"X86_SMEP", "the kernel can't execute pages of processes (x86)"},
	{"X86_SMAP", "the kernel can't access pages of processes by mistake (x86)"},
	{"LOCKDOWN", "root can't change the running kernel"},
	{"NO_DEVMEM", "there is no /dev/mem"},
	{"STRICT_DEVMEM", "/dev/mem does not reach memory that the kernel manages"},
	{"NO_PROC_KCORE", "there is no /proc/kcore"},
	{"PROC_MEM_NO_FORCE", "a write through /proc/PID/mem does not pass a read-only mapping"},
	{"IOMMU_STRICT", "devices reach only what is mapped for them"},
	{"MEMORY_ECC", "the memory corrects errors"},
	{"EDAC", "errors of the memory are counted"},
	{"MEMORY_FAILURE", "a page with an error is taken out of use"},
	{"ARM64_MTE", "processes can have their memory tagged (arm64)"},
}

// Hardening returns the names that host.hardening can have: the kernel's own defences.
func Hardening() []string {
	names := make([]string, len(hardening))
	for i, h := range hardening {
		names[i] = h.name
	}
	return names
}

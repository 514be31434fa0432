package host

// The hardening table. The ratings in the second column are the point of it: a host
// that resists an attacker may still do nothing about a stray write.
//
// The ratings of four defences are those of the safety working group (ELISA, Linux
// Features for Safety-Critical Systems, meeting of 2025-09-16): list checks, freelist
// randomisation, freelist hardening, KASLR. The others are this project's, by the same
// question: does it detect, confine or prevent a corruption that nobody intends?

const selfProtection = "Documentation/security/self-protection.rst"

// heapItems are about the kernel's allocators.
var heapItems = []item{
	{
		id: "SLAB_FREELIST_HARDENED", what: "pointers between free objects are mangled and checked",
		accidental: Some, attack: High, ratedBy: ratedByELISA, reference: "mm/Kconfig",
		why: "a damaged freelist pointer most likely turns invalid and is trapped, but nothing outside the freelist is covered",
		on:  configured("SLAB_FREELIST_HARDENED"),
	},
	{
		id: "SLAB_FREELIST_RANDOM", what: "free objects are handed out in random order",
		accidental: VeryLittle, attack: Some, ratedBy: ratedByELISA, reference: "mm/Kconfig",
		why: "it hides which object comes next; a stray write is neither stopped nor detected, it only hits another object",
		on:  configured("SLAB_FREELIST_RANDOM"),
	},
	{
		id: "RANDOM_KMALLOC_CACHES", what: "each place of allocation uses one of several caches, at random",
		accidental: VeryLittle, attack: Some, reference: "mm/Kconfig",
		why: "it makes it unlikely that an attacker's object comes to lie beside a chosen one; a stray write still hits some object, unseen",
		on:  configured("RANDOM_KMALLOC_CACHES"),
	},
	{
		id: "SLAB_BUCKETS", what: "allocations whose size a user controls have caches of their own",
		accidental: VeryLittle, attack: Some, reference: "mm/Kconfig",
		why: "it keeps an attacker's data away from the kernel's objects; it detects nothing",
		on:  configured("SLAB_BUCKETS"),
	},
	{
		id: "SLAB_NOMERGE", what: "caches of different kinds of objects are not merged",
		accidental: VeryLittle, attack: Some, reference: "Documentation/admin-guide/kernel-parameters.txt, slab_nomerge",
		why: "an overflow stays among objects of one kind more often; it detects nothing",
		on:  effect(readUnmerged, configuredUnmerged),
	},
	{
		id: "INIT_ON_ALLOC", what: "memory is zeroed when it is allocated",
		accidental: Some, attack: Some, reference: "security/Kconfig.hardening",
		why: "the use of memory that was never initialised becomes the same every time; overwritten memory is not detected",
		on:  byDefaultOrParam("INIT_ON_ALLOC_DEFAULT_ON", "init_on_alloc"),
	},
	{
		id: "INIT_ON_FREE", what: "memory is zeroed when it is freed",
		accidental: VeryLittle, attack: Some, reference: "security/Kconfig.hardening",
		why: "stale data does not outlive its object, so that less can leak; a use after free reads zeroes, unseen",
		on:  byDefaultOrParam("INIT_ON_FREE_DEFAULT_ON", "init_on_free"),
	},
	{
		id: "PAGE_POISONING", what: "free pages are filled with a pattern that is checked",
		accidental: Some, attack: VeryLittle, reference: "mm/Kconfig.debug",
		why: "a write to a free page is found when the page is used again",
		on:  switched("PAGE_POISONING", "", "page_poison"),
	},
	{
		id: "SLUB_DEBUG", what: "the general caches check their objects, and zones around them",
		accidental: High, attack: Some, reference: "Documentation/admin-guide/mm/slab.rst",
		why: "a write past an object, or to a free one, is found at the next check, with the object named",
		on:  readSlabChecks,
	},
	{
		id: "SHUFFLE_PAGE_ALLOCATOR", what: "free pages are in random order",
		accidental: None, attack: VeryLittle, reference: "mm/Kconfig",
		why: "it hides which page comes next, for a short time after the boot",
		on:  effect(readShuffle, switched("SHUFFLE_PAGE_ALLOCATOR", "", "page_alloc.shuffle")),
	},
}

// detectionItems find a corruption, or stop on it.
var detectionItems = []item{
	{
		id: "LIST_HARDENED", what: "list operations check the neighbours, and poison what is removed",
		accidental: Some, attack: High, ratedBy: ratedByELISA, reference: "lib/Kconfig.debug",
		why: "it catches list pointers that are damaged so that the neighbours do not point back; a wrong ring that is well-formed passes",
		on:  configured("LIST_HARDENED", "DEBUG_LIST"),
	},
	{
		id: "BUG_ON_DATA_CORRUPTION", what: "a corruption that a check finds stops the thread, instead of a warning",
		accidental: Some, attack: Some, reference: "lib/Kconfig.debug",
		why: "it finds nothing itself, and keeps what was found from spreading",
		on:  configured("BUG_ON_DATA_CORRUPTION"),
	},
	{
		id: "PANIC_ON_OOPS", what: "the host stops when the kernel has gone wrong",
		accidental: Some, attack: VeryLittle, reference: "Documentation/admin-guide/sysctl/kernel.rst",
		why: "a kernel that is known to be damaged does not go on with the memory of others",
		on:  readPanicOnOops,
	},
	{
		id: "HARDENED_USERCOPY", what: "copies between the kernel and a process are checked against the object",
		accidental: Some, attack: High, reference: "security/Kconfig.hardening",
		why: "a copy that runs past its object or into the kernel's code is refused; other writes are not looked at",
		on:  configuredUsercopy,
	},
	{
		id: "FORTIFY_SOURCE", what: "string and memory functions check sizes that are known",
		accidental: Some, attack: Some, reference: "security/Kconfig.hardening",
		why: "it stops overflows by those functions where the compiler knows the size",
		on:  configured("FORTIFY_SOURCE"),
	},
	{
		id: "UBSAN_BOUNDS", what: "indexes are checked against arrays of known size",
		accidental: Some, attack: Some, reference: "Documentation/dev-tools/ubsan.rst",
		why: "it finds an index out of bounds where the compiler knows the size of the array",
		on:  configured("UBSAN_BOUNDS"),
	},
	{
		id: "KFENCE", what: "some allocations, taken by time, lie between guard pages",
		accidental: Some, attack: VeryLittle, reference: "Documentation/dev-tools/kfence.rst",
		why: "it finds overflows and uses after free, with a probability that adds up over time and over a fleet; most allocations are not looked at",
		on:  effect(readKfence, configuredKfence),
	},
	{
		id: "KASAN", what: "every access of the kernel is checked, in software",
		accidental: High, attack: Some, reference: "Documentation/dev-tools/kasan.rst",
		why: "it finds almost every overflow and use after free as it happens; its price keeps it to test systems",
		on:  configured("KASAN_GENERIC", "KASAN_SW_TAGS"),
	},
	{
		id: "KASAN_HW_TAGS", what: "every access of the kernel is checked, by memory tags", arch: "aarch64",
		accidental: High, attack: High, reference: "Documentation/dev-tools/kasan.rst",
		why: "the processor finds an access with a wrong tag as it happens, at a price that production systems can pay",
		on:  both(flag("mte"), without("KASAN_HW_TAGS", "kasan", "off")),
	},
	{
		id: "PAGE_TABLE_CHECK", what: "entries of page tables are checked for wrong sharing as they are made",
		accidental: Some, attack: Some, reference: "Documentation/mm/page_table_check.rst",
		why: "a page that comes to be mapped by two processes against the rules stops the kernel; an entry that a stray write changes is not seen",
		on:  switched("PAGE_TABLE_CHECK", "PAGE_TABLE_CHECK_ENFORCED", "page_table_check"),
	},
	{
		id: "SCHED_STACK_END_CHECK", what: "the end of the kernel's stacks is checked when threads are switched",
		accidental: Some, attack: VeryLittle, reference: "lib/Kconfig.debug",
		why: "a stack that ran over its end is found, after the damage",
		on:  configured("SCHED_STACK_END_CHECK"),
	},
	{
		id: "DEBUG_VIRTUAL", what: "translations between virtual and physical addresses are checked",
		accidental: Some, attack: None, reference: "mm/Kconfig.debug",
		why: "a wrong translation, which would lead into foreign memory through the linear map, is found; it is for test systems",
		on:  configured("DEBUG_VIRTUAL"),
	},
}

// layoutItems are about where the kernel's code and data lie, and how they are mapped.
var layoutItems = []item{
	{
		id: "RANDOMIZE_BASE", what: "the kernel lies at a random address (KASLR)",
		accidental: VeryLittle, attack: Some, ratedBy: ratedByELISA, reference: selfProtection,
		why: "it hides addresses from who looks for them; it neither stops nor detects a stray write",
		on:  readKASLR,
	},
	{
		id: "RANDOMIZE_KSTACK_OFFSET", what: "the kernel's stack begins at a random offset at each system call",
		accidental: None, attack: Some, reference: selfProtection,
		why: "it hides where on the stack something lies",
		on:  switched("RANDOMIZE_KSTACK_OFFSET", "RANDOMIZE_KSTACK_OFFSET_DEFAULT", "randomize_kstack_offset"),
	},
	{
		id: "VMAP_STACK", what: "the kernel's stacks lie between guard pages",
		accidental: High, attack: High, reference: "arch/Kconfig",
		why: "a stack that overflows faults at once, before it damages what lies beside it",
		on:  configured("VMAP_STACK"),
	},
	{
		id: "STACKPROTECTOR_STRONG", what: "functions check a canary on the stack before they return",
		accidental: Some, attack: Some, reference: "arch/Kconfig",
		why: "an overflow of a buffer on the stack is found before the function returns, after the damage",
		on:  configured("STACKPROTECTOR_STRONG"),
	},
	{
		id: "INIT_STACK_ALL", what: "variables on the kernel's stack are initialised",
		accidental: Some, attack: Some, reference: "security/Kconfig.hardening",
		why: "the use of a variable that was never set becomes the same every time",
		on:  configured("INIT_STACK_ALL_ZERO", "INIT_STACK_ALL_PATTERN"),
	},
	{
		id: "STRICT_KERNEL_RWX", what: "the kernel's code and constants are read-only, its data is not executable",
		accidental: High, attack: High, reference: selfProtection,
		why: "a stray write to code or constants faults at once",
		on:  without("STRICT_KERNEL_RWX", "rodata", "off", "0", "n", "no"),
	},
	{
		id: "STRICT_MODULE_RWX", what: "the same for modules",
		accidental: High, attack: High, reference: selfProtection,
		why: "a stray write to a module's code or constants faults at once",
		on:  configuredModules,
	},
	{
		id: "X86_SMEP", what: "the kernel cannot execute pages of processes", arch: "x86_64",
		accidental: VeryLittle, attack: High, reference: selfProtection,
		why: "a wild jump into a process faults; wild jumps rarely end there",
		on:  flag("smep"),
	},
	{
		id: "X86_SMAP", what: "the kernel cannot access pages of processes by mistake", arch: "x86_64",
		accidental: Some, attack: High, reference: selfProtection,
		why: "a stray access of the kernel to a mapping of a process faults; the same page through the linear map does not",
		on:  flag("smap"),
	},
}

// accessItems close ways to memory that pass every mapping.
var accessItems = []item{
	{
		id: "LOCKDOWN", what: "the superuser cannot change the running kernel, or read its memory",
		accidental: VeryLittle, attack: High, reference: "kernel_lockdown(7)",
		why: "it refuses deliberate acts; those who make mistakes seldom make these",
		on:  readLockdown,
	},
	{
		id: "NO_DEVMEM", what: "there is no /dev/mem",
		accidental: Some, attack: High, reference: "drivers/char/Kconfig",
		why: "no program, not even one that believes it owns a device, can write to physical memory by a wrong address",
		on:  readNoMem,
	},
	{
		id: "STRICT_DEVMEM", what: "/dev/mem, where there is one, does not reach memory that the kernel manages",
		accidental: Some, attack: Some, reference: "lib/Kconfig.debug",
		why: "a wrong address in a program that drives a device does not reach the memory of others; device memory stays open",
		on:  readStrictMem,
	},
	{
		id: "NO_PROC_KCORE", what: "there is no /proc/kcore",
		accidental: None, attack: Some, reference: "fs/proc/Kconfig",
		why: "the superuser cannot read the kernel's memory through it; it was never writable",
		on:  readNoKcore,
	},
	{
		id: "PROC_MEM_NO_FORCE", what: "a write through /proc/PID/mem does not pass over a read-only mapping",
		accidental: VeryLittle, attack: Some, reference: "Documentation/admin-guide/kernel-parameters.txt, proc_mem.force_override",
		why: "read-only memory stays so for all but a debugger",
		on:  effect(readProcMem, inferProcMem),
	},
}

// hardwareItems are about devices and faults of the hardware.
var hardwareItems = []item{
	{
		id: "IOMMU_STRICT", what: "devices reach only what is mapped for them, and no longer than that",
		accidental: High, attack: High, reference: "Documentation/admin-guide/kernel-parameters.txt, iommu.strict",
		why: "a device or a driver that goes wrong faults instead of writing to the memory of others",
		on:  readStrictIOMMU,
	},
	{
		id: "MEMORY_ECC", what: "the memory corrects errors",
		accidental: High, attack: VeryLittle, reference: "Documentation/admin-guide/RAS/main.rst",
		why: "a bit that flips is corrected, two are detected; several at once, as an attacker makes them, may pass",
		on:  readECC,
	},
	{
		id: "EDAC", what: "errors of the memory are counted and reported",
		accidental: Some, attack: None, reference: "Documentation/admin-guide/RAS/main.rst",
		why: "a module that goes bad is seen before its errors cannot be corrected any more",
		on:  readEDAC,
	},
	{
		id: "MEMORY_FAILURE", what: "a page with an error that cannot be corrected is taken out of use",
		accidental: High, attack: None, reference: "Documentation/mm/hwpoison.rst",
		why: "only who uses the damaged page is stopped, and nobody reads wrong data",
		on:  readPoison,
	},
	{
		id: "ARM64_MTE", what: "processes can have their memory tagged", arch: "aarch64",
		accidental: High, attack: High, reference: "Documentation/arch/arm64/memory-tagging-extension.rst",
		why: "where a process asks for it, an access with a wrong tag faults",
		on:  both(flag("mte"), configured("ARM64_MTE")),
	},
}

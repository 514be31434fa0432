package rules

// Host is what is known of the kernel and of the whole machine. Where a number is a
// setting that the kernel does not have, it is -1.
type Host struct {
	// vm.overcommit_memory: 0 guess, 1 always, 2 never.
	OvercommitMemory int64 `cel:"overcommit_memory" source:"sys/vm/overcommit_memory"`
	// Bytes that may be promised in mode 2.
	CommitLimit int64 `cel:"commit_limit" source:"meminfo"`
	// Bytes that are promised.
	CommittedAS int64 `cel:"committed_as" source:"meminfo"`
	// Bytes of memory.
	MemTotal int64 `cel:"mem_total" source:"meminfo"`
	// Bytes of swap; 0 where there is none.
	SwapTotal int64 `cel:"swap_total" source:"meminfo"`
	// Mappings that a process may have.
	MaxMapCount int64 `cel:"max_map_count" source:"sys/vm/max_map_count"`
	// Lockdown: "none", "integrity" or "confidentiality".
	Lockdown string `cel:"lockdown" source:"/sys/kernel/security/lockdown"`
	// Active security modules.
	LSMs []string `cel:"lsms" source:"/sys/kernel/security/lsm"`
	// /proc/kcore: "absent", "present" or "readable".
	Kcore string `cel:"kcore" source:"kcore"`
	// /dev/mem: "absent", "present" or "readable".
	DevMem string `cel:"dev_mem" source:"/dev/mem"`
	// Who may write through /proc/PID/mem what the mapping forbids: "always", "ptrace"
	// (the tracer) or "never".
	ProcMemOverride string `cel:"proc_mem_override" source:"the kernel's configuration and command line"`
	// kernel.yama.ptrace_scope: 0 to 3.
	PtraceScope int64 `cel:"ptrace_scope" source:"sys/kernel/yama/ptrace_scope"`
	// fs.suid_dumpable: 0, 1 or 2.
	SUIDDumpable int64 `cel:"suid_dumpable" source:"sys/fs/suid_dumpable"`
	// kernel.core_pattern; a first character "|" means a program.
	CorePattern string `cel:"core_pattern" source:"sys/kernel/core_pattern"`
	// Uprobes that are set by tracefs.
	Uprobes int64 `cel:"uprobes" source:"tracefs uprobe_events"`
	// Kprobes that are set.
	Kprobes int64 `cel:"kprobes" source:"tracefs kprobe_events"`
	// Loaded BPF programs of a type that runs in the context of the processes that it
	// traces, and can read their memory.
	BPFTracingPrograms int64 `cel:"bpf_tracing_programs" source:"bpf(2)"`
	// Loaded BPF programs.
	BPFPrograms int64 `cel:"bpf_programs" source:"bpf(2)"`
	// kernel.unprivileged_bpf_disabled: 0, 1 or 2.
	UnprivilegedBPFDisabled int64 `cel:"unprivileged_bpf_disabled" source:"sys/kernel/unprivileged_bpf_disabled"`
	// vm.unprivileged_userfaultfd: 0 or 1.
	UnprivilegedUserfaultfd int64 `cel:"unprivileged_userfaultfd" source:"sys/vm/unprivileged_userfaultfd"`
	// KSM: 0 stopped, 1 running, 2 unmerging.
	KSMRun int64 `cel:"ksm_run" source:"/sys/kernel/mm/ksm/run"`
	// Transparent huge pages: "always", "madvise", "never", or "absent".
	THP string `cel:"thp" source:"/sys/kernel/mm/transparent_hugepage/enabled"`
	// vm.panic_on_oom: 0, 1 or 2.
	PanicOnOOM int64 `cel:"panic_on_oom" source:"sys/vm/panic_on_oom"`
	// vm.oom_kill_allocating_task: 0 or 1.
	OOMKillAllocatingTask int64 `cel:"oom_kill_allocating_task" source:"sys/vm/oom_kill_allocating_task"`
	// The machine can hibernate now.
	HibernationAvailable bool `cel:"hibernation_available" source:"/sys/power/disk"`
	// Objects of secret memory that are open.
	SecretmemHolders int64 `cel:"secretmem_holders" source:"fd"`
	// Bytes of the linear map in pages of 4 KiB.
	DirectMap4k int64 `cel:"direct_map_4k" source:"meminfo"`
	// Bytes of the linear map in pages of 2 MiB.
	DirectMap2M int64 `cel:"direct_map_2m" source:"meminfo"`
	// Bytes of the linear map in pages of 1 GiB.
	DirectMap1G int64 `cel:"direct_map_1g" source:"meminfo"`
	// kernel.kptr_restrict: 0, 1 or 2.
	KptrRestrict int64 `cel:"kptr_restrict" source:"sys/kernel/kptr_restrict"`
	// Options of the kernel's configuration that are set, with their "CONFIG_", such as
	// "y" or "m". One that is not set has no entry.
	Kconfig map[string]string `cel:"kconfig" source:"config.gz"`
	// Parameters of the kernel's command line; a flag has the empty value.
	Cmdline map[string]string `cel:"cmdline" source:"cmdline"`
	// Features of the CPU.
	CPUFlags []string `cel:"cpu_flags" source:"cpuinfo"`
	// The kernel's own defences, "on" or "off", under the names below; one that the
	// architecture does not have has no entry.
	Hardening map[string]string `cel:"hardening" source:"effect, else configuration and command line"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}

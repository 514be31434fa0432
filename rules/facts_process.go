package rules

// Process is what is known of one process.
type Process struct {
	// Process id.
	PID int64 `cel:"pid" source:"stat"`
	// Id of the parent process.
	PPID int64 `cel:"ppid" source:"stat"`
	// Command name, at most 15 bytes; the process can change it.
	Name string `cel:"name" source:"stat"`
	// Path of the program that it runs.
	Exe string `cel:"exe" source:"exe"`
	// The program's file has no name any more, and is not a memfd.
	ExeDeleted bool `cel:"exe_deleted" source:"exe"`
	// The program is a memfd: it never was a file with a path.
	ExeMemfd bool `cel:"exe_memfd" source:"exe"`
	// Real user id.
	UID int64 `cel:"uid" source:"status"`
	// Effective user id.
	EUID int64 `cel:"euid" source:"status"`
	// Path in the cgroup v2 hierarchy, or the memory controller's in v1.
	Cgroup string `cel:"cgroup" source:"cgroup"`
	// The user named it as a workload of which the guarantees are asked.
	Declared bool `cel:"declared" source:"the user"`
	// Number of threads.
	Threads int64 `cel:"threads" source:"status"`
	// Number of mappings.
	VMACount int64 `cel:"vma_count" source:"maps"`
	// Bytes of address space (VmSize).
	VMSize int64 `cel:"vm_size" source:"status"`
	// Bytes in memory (VmRSS, or the sum over smaps).
	RSS int64 `cel:"rss" source:"status"`
	// Bytes in locked mappings (VmLck), in memory or not.
	Locked int64 `cel:"locked" source:"status"`
	// What the process adds to its badness when the kernel chooses whom to kill for
	// memory: -1000 (never) to 1000.
	OOMScoreAdj int64 `cel:"oom_score_adj" source:"oom_score_adj"`
	// execve can't give it new privileges (PR_SET_NO_NEW_PRIVS).
	NoNewPrivs bool `cel:"no_new_privs" source:"status"`
	// Seccomp mode: 0 none, 1 strict, 2 filter.
	Seccomp int64 `cel:"seccomp" source:"status"`
	// Effective capabilities, a bit set.
	CapEff int64 `cel:"cap_eff" source:"status"`
	// Inode number of its PID namespace.
	PIDNamespace int64 `cel:"pid_namespace" source:"ns/pid"`
	// It can be dumped, and read by others of its user (PR_SET_DUMPABLE).
	Dumpable bool `cel:"dumpable" source:"the owner of its /proc files"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}

package guard

// Rule is one thing that a program is started with: a mechanism of the kernel that keeps one
// requirement. Its name is stable: profiles, plans and verdicts use it.
type Rule string

// The rules, in the order in which they are applied.
const (
	MemfdNoExec   Rule = "memfd-noexec"
	ProcReadOnly  Rule = "proc-read-only"
	NoExecFolders Rule = "noexec-folders"
	MemoryGroup   Rule = "memory-group"
	AddressSpace  Rule = "address-space"
	OOMScore      Rule = "oom-score"
	NUMA          Rule = "numa"
	NoHugePages   Rule = "no-huge-pages"
	NoMerge       Rule = "no-merge"
	NoDump        Rule = "no-dump"
	MDWE          Rule = "mdwe"
	NoPrivileges  Rule = "no-privileges"
	CodeCalls     Rule = "code-calls"
	NoNamespaces  Rule = "no-namespaces"
	NoAttach      Rule = "no-attach"
	NoURing       Rule = "no-io-uring"
	KeepResident  Rule = "keep-resident"
	MemfdWatch    Rule = "memfd-watch"
	Lock          Rule = "lock"
)

// RuleInfo says what a rule is.
type RuleInfo struct {
	Rule        Rule   `json:"rule"`
	Does        string `json:"does"`
	Mechanism   string `json:"mechanism"`
	Requirement string `json:"requirement"`
	// Limit says what the mechanism can't.
	Limit string `json:"limit,omitempty"`
}

var rules = []RuleInfo{
	{MemfdNoExec, "no memfd that it makes can be executed, and the program can't change that",
		"vm.memfd_noexec=2 in a PID namespace around that of the program", "SV-XDM-04",
		"it is about those made inside; one that comes from outside, or is mapped, is for memfd-watch"},
	{ProcReadOnly, "nothing can be written below /proc: not /proc/self/mem, no setting of the kernel",
		"a proc file system of its own, and all others, mounted read-only", "SV-XDM-03", "/sys and /dev are not: uid 0 without capabilities still writes what belongs to root there"},
	{NoExecFolders, "what is written to folders for temporary files is not executed, nor mapped executable",
		"bind mounts with noexec", "SV-XDM-03", "a file that the program may write elsewhere can be executed"},
	{MemoryGroup, "its memory has a floor that pressure elsewhere can't reach, is not swapped, and ends as a whole",
		"an own cgroup: memory.min, memory.swap.max, memory.oom.group", "SV-OOM-01", "version 1 of cgroups has only memory.swappiness of it; a floor is no higher than that of each group above"},
	{AddressSpace, "it can't ask for more address space than declared", "RLIMIT_AS", "SV-CMT-02", ""},
	{OOMScore, "the OOM killer prefers others", "/proc/PID/oom_score_adj", "SV-OOM-01", "to lower it takes CAP_SYS_RESOURCE"},
	{NUMA, "its memory comes from some NUMA nodes alone", "set_mempolicy(MPOL_BIND)", "SV-RES-01", "the program may choose others for itself"},
	{NoHugePages, "no transparent huge pages, whose making and splitting takes time", "prctl(PR_SET_THP_DISABLE)", "SV-RES-02", "the program may turn it off"},
	{NoMerge, "its pages are not merged with others'", "prctl(PR_SET_MEMORY_MERGE, 0); seccomp keeps it so", "SV-RES-02", ""},
	{NoDump, "no core dump, and only root reads its memory",
		"RLIMIT_CORE 1; PR_SET_DUMPABLE 0 set in the program before its first instruction; seccomp keeps it so", "SV-KCT-01",
		"a program that it executes is dumpable again, though without core dumps, unless one of them sets RLIMIT_CORE to 0, which is no limit for a core_pattern with a pipe"},
	{MDWE, "memory that was not executable does not become so", "prctl(PR_SET_MDWE)", "SV-XDM-03",
		"two mappings of one file are not seen; a program that it executes has an executable stack if it is linked so"},
	{NoPrivileges, "it has no capabilities and gets none", "bounding set, capset, no_new_privs", "SV-KCT-01", ""},
	{CodeCalls, "calls that make code are refused, and those of other architectures end it", "seccomp", "SV-XDM-03", ""},
	{NoNamespaces, "no namespaces of its own, in which it would be root, and no mounts", "seccomp", "SV-XDM-04", ""},
	{NoAttach, "no calls into the memory of other processes: no tracing, no copying, no descriptors of theirs", "seccomp", "SV-KCT-01",
		"/proc/PID/mem of its own children stays, for writing where proc-read-only is off; outsiders are kept out by no-dump"},
	{NoURing, "no io_uring, whose operations no filter sees", "seccomp", "SV-KCT-01", ""},
	{KeepResident, "it can't unlock or page out its memory", "seccomp", "SV-RES-02", ""},
	{MemfdWatch, "a memfd, or any file without a name or on a mount that it does not see, is not mapped executable; who holds such a program executes nothing",
		"seccomp user notification", "SV-XDM-03",
		"threads that share descriptors may put another file in the place of the one that was looked at, and one process execute what another one holds"},
	{Lock, "its memory is locked: each page when it is first touched, or all at once",
		"mlockall made in the program before its first instruction", "SV-RES-01", "programs that it executes are not locked"},
}

// Rules returns all rules, in the order in which they are applied.
func Rules() []RuleInfo { return append([]RuleInfo(nil), rules...) }

func infoOf(r Rule) (RuleInfo, bool) {
	for _, i := range rules {
		if i.Rule == r {
			return i, true
		}
	}
	return RuleInfo{}, false
}

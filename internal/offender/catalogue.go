package offender

import "github.com/safevma/safevma/internal/sys"

// What hosts may lack.
const (
	needsExecFiles = "a file system for temporary files that is not mounted noexec"
	needsLock      = "a few pages of RLIMIT_MEMLOCK"
	needsNoexec    = "MFD_NOEXEC_SEAL (Linux 6.3)"
)

// offenders is the catalogue, by subject.
func offenders() []Spec {
	var all []Spec
	for _, subject := range [][]Spec{
		writableExecutable(), executableMemfds(), executedFiles(), locks(), advices(), stacks(), sharers(), counts(),
	} {
		all = append(all, subject...)
	}
	return all
}

func writableExecutable() []Spec {
	return []Spec{{
		Name: "wx", Summary: "maps anonymous memory writable and executable at once",
		Requirement: "SV-XDM-03", Rule: "wx-mapping", commit: wx,
		Twins: []Twin{{Name: "wx-twin", Summary: "writes, then makes it executable and no longer writable", commit: wxTwin}},
	}, {
		Name: "wx-file", Summary: "maps a file privately, writable and executable at once",
		Requirement: "SV-XDM-03", Rule: "wx-mapping", Needs: needsExecFiles, commit: wxFile(protRWX),
		Twins: []Twin{{Name: "wx-file-twin", Summary: "maps it readable and executable", Needs: needsExecFiles, commit: wxFile(protRX)}},
	}, {
		Name: "dual-map", Summary: "maps one memfd twice: shared writable, and executable",
		Requirement: "SV-XDM-03", Rule: "inode-written-and-executed", Also: []string{"memfd-noexec-mapped-executable"}, Needs: needsNoexec, commit: dualMap,
		Twins: []Twin{{Name: "dual-map-twin", Summary: "maps the memfd writable, and another file executable", Needs: needsNoexec + "; " + needsExecFiles, commit: dualMapTwin}},
	}, {
		Name: "dual-map-processes", Summary: "maps a file shared and writable; a second process maps it executable",
		Requirement: "SV-XDM-03", Rule: "inode-written-and-executed", Needs: needsExecFiles, commit: dualMapProcesses(true),
		Twins: []Twin{{Name: "dual-map-processes-twin", Summary: "as it, with two files", Needs: needsExecFiles, commit: dualMapProcesses(false)}},
	}}
}

func executableMemfds() []Spec {
	return []Spec{{
		Name: "memfd-exec", Summary: "holds a memfd made with MFD_EXEC",
		Requirement: "SV-XDM-03", Rule: "memfd-executable", Needs: "vm.memfd_noexec below 2", commit: memfdExec(sys.MfdExec),
		Twins: []Twin{{Name: "memfd-exec-twin", Summary: "holds one made with MFD_NOEXEC_SEAL", Needs: needsNoexec, commit: memfdHeld(sys.MfdNoexecSeal)}},
	}, {
		Name: "memfd-exec-default", Summary: "holds a memfd made with no flags: mode 0777",
		Requirement: "SV-XDM-03", Rule: "memfd-executable", Needs: "vm.memfd_noexec = 0", commit: memfdExec(0),
		Twins: []Twin{{Name: "memfd-exec-default-twin", Summary: "takes the execute bits away and seals the mode", Needs: "F_SEAL_EXEC (Linux 6.3)", commit: memfdChmod}},
	}, {
		Name: "memfd-noexec-mapped", Summary: "maps a memfd of MFD_NOEXEC_SEAL executable all the same",
		Requirement: "SV-XDM-03", Rule: "memfd-noexec-mapped-executable", Needs: needsNoexec, commit: memfdNoexecMapped(protRX),
		Twins: []Twin{{Name: "memfd-noexec-mapped-twin", Summary: "maps it readable", Needs: needsNoexec, commit: memfdNoexecMapped(sys.ProtRead)}},
	}}
}

func executedFiles() []Spec {
	named := "runs from a file whose name ends in \" (deleted)\" and that exists"
	return []Spec{{
		Name: "exec-memfd", Summary: "runs from a memfd",
		Requirement: "SV-XDM-03", Rule: "program-in-memfd", Also: []string{"memfd-executable"}, Needs: "vm.memfd_noexec below 2", commit: execMemfd,
		Twins: []Twin{{Name: "exec-memfd-twin", Summary: "runs from a copy in an ordinary file", Needs: needsExecFiles, commit: execFile("offender-copy", false)}},
	}, {
		Name: "exec-deleted", Summary: "runs from a file that has been unlinked",
		Requirement: "SV-TOP-03", Rule: "program-deleted", Also: []string{"executable-mapping-deleted"}, Needs: needsExecFiles, commit: execFile("offender-copy", true),
		Twins: []Twin{
			{Name: "exec-deleted-twin", Summary: "runs from a file that exists", Needs: needsExecFiles, commit: execFile("offender-copy", false)},
			{Name: "exec-deleted-twin-named", Summary: named, Needs: needsExecFiles, commit: execFile("offender (deleted)", false)},
		},
	}, {
		Name: "exec-deleted-mapping", Summary: "has an executable mapping of a file that has been unlinked",
		Requirement: "SV-TOP-03", Rule: "executable-mapping-deleted", Needs: needsExecFiles, commit: execMapping("libplugin.so", true),
		Twins: []Twin{
			{Name: "exec-deleted-mapping-twin", Summary: "has one of a file that exists", Needs: needsExecFiles, commit: execMapping("libplugin.so", false)},
			{Name: "exec-deleted-mapping-twin-named", Summary: "has one of a file whose name ends in \" (deleted)\" and that exists", Needs: needsExecFiles, commit: execMapping("x (deleted)", false)},
		},
	}}
}

func locks() []Spec {
	return []Spec{{
		Name: "locked-not-resident", Summary: "has memory that is marked as locked but absent, because mlock failed half-way",
		Requirement: "SV-RES-01", Rule: "locked-not-resident", Needs: needsLock, commit: lockedNotResident,
		Twins: []Twin{
			{Name: "locked-not-resident-twin", Summary: "has locked memory that is present", Needs: needsLock, commit: locked},
			{Name: "locked-not-resident-twin-shared", Summary: "has it shared with a second process: Locked is half of Size, because the kernel divides it", Needs: needsLock + "; " + needsNoexec, commit: lockedShared},
			{Name: "locked-not-resident-twin-none", Summary: "has locked memory, and inaccessible guards that are marked as locked but can hold no page", Needs: needsLock, commit: lockedGuards},
		},
	}, {
		Name: "locked-on-fault", Summary: "has memory that is locked when first touched, and never touched",
		Requirement: "SV-RES-01", Rule: "locked-on-fault", Needs: needsLock, commit: lockedOnFault(false),
		Twins: []Twin{{Name: "locked-on-fault-twin", Summary: "has touched it", Needs: needsLock, commit: lockedOnFault(true)}},
	}, {
		Name: "resident-not-locked", Summary: "has memory that is present but not locked",
		Requirement: "SV-RES-02", Rule: "declared-not-locked", Declared: true, commit: notLocked,
		Twins: []Twin{
			{Name: "resident-not-locked-twin", Summary: "has locked it", Needs: needsLock, Region: true, commit: locked},
			{Name: "resident-not-locked-twin-all", Summary: "has locked its whole address space, now and in future", Needs: "CAP_IPC_LOCK, or RLIMIT_MEMLOCK above its address space (about 1.5 GiB)", commit: lockedAll},
		},
	}}
}

func advices() []Spec {
	plain := Twin{Summary: "has plain anonymous memory", commit: plainAnonymous}
	file := Twin{Summary: "maps the file without advice", commit: advisedFile(noAdvice, "")}
	return []Spec{{
		Name: "droppable", Summary: "has memory that the kernel may drop without a word (MAP_DROPPABLE)",
		Requirement: "SV-RES-02", Rule: "droppable", Needs: "MAP_DROPPABLE (Linux 6.11)", commit: droppable,
		Twins: []Twin{plain.named("droppable-twin")},
	}, {
		Name: "mergeable", Summary: "has memory that the kernel may merge with equal pages of others (MADV_MERGEABLE)",
		Requirement: "SV-RES-02", Rule: "mergeable", Needs: "CONFIG_KSM", commit: mergeable,
		Twins: []Twin{plain.named("mergeable-twin")},
	}, {
		Name: "seq-read", Summary: "maps a file with MADV_SEQUENTIAL: its pages are freed soon after use",
		Requirement: "SV-RES-01", Rule: "declared-read-hint", Declared: true, commit: advisedFile(sys.MadvSequential, "sr"),
		Twins: []Twin{file.named("seq-read-twin")},
	}, {
		Name: "rand-read", Summary: "maps a file with MADV_RANDOM: nothing is read ahead",
		Requirement: "SV-RES-01", Rule: "declared-read-hint", Declared: true, commit: advisedFile(sys.MadvRandom, "rr"),
		Twins: []Twin{file.named("rand-read-twin")},
	}}
}

func stacks() []Spec {
	return []Spec{{
		Name: "exec-stack", Summary: "has a stack of its own making (MAP_GROWSDOWN) that is executable",
		Requirement: "SV-XDM-03", Rule: "executable-stack", Also: []string{"wx-mapping"}, commit: growingStack(protRWX),
		Twins: []Twin{{Name: "exec-stack-twin", Summary: "has one that is not", commit: growingStack(protRW)}},
	}, {
		Name: "exec-stack-main", Summary: "has made the main thread's stack executable, as loading a library with an executable stack does",
		Requirement: "SV-XDM-03", Rule: "executable-stack", Also: []string{"wx-mapping"}, commit: mainStack(true),
		Twins: []Twin{{Name: "exec-stack-main-twin", Summary: "leaves it as it is", commit: mainStack(false)}},
	}}
}

func sharers() []Spec {
	return []Spec{{
		Name: "secret-holder", Summary: "holds one page of secret memory; while it does, the host can't hibernate",
		Requirement: "SV-CMT-01", Rule: "secret-memory", Needs: "memfd_secret(2)", commit: secretHolder,
		Twins: []Twin{{Name: "secret-holder-twin", Summary: "holds one page of an ordinary memfd", Needs: needsNoexec, commit: memfdMapped}},
	}, {
		Name: "shared-memory", Summary: "has memory that a second process maps, too",
		Requirement: "SV-XDM-01", Rule: "declared-pages-shared", Declared: true, Region: true, Needs: needsNoexec, commit: sharedMemory(true),
		Twins: []Twin{{Name: "shared-memory-twin", Summary: "has its own, and so has the second process", Region: true, Needs: needsNoexec, commit: sharedMemory(false)}},
	}, {
		Name: "shared-cow", Summary: "has private memory that a forked child still holds (copy-on-write)",
		Requirement: "SV-XDM-01", Rule: "declared-pages-shared", Declared: true, Region: true, commit: sharedCoW(forkPlain),
		Twins: []Twin{
			{Name: "shared-cow-twin", Summary: "does not fork; only pages of the program's file are shared with others that run it", Region: true, commit: sharedCoW(forkNot)},
			{Name: "shared-cow-twin-dontfork", Summary: "forks, but has kept this memory from the child (MADV_DONTFORK)", Region: true, commit: sharedCoW(forkWithout)},
		},
	}}
}

func counts() []Spec {
	return []Spec{{
		Name: "many-vmas", Summary: "has more than 90 % of vm.max_map_count mappings",
		Requirement: "SV-CMT-01", Rule: "vma-count", Needs: "vm.max_map_count of at most 262144", commit: manyVMAs,
		Twins: []Twin{{Name: "many-vmas-twin", Summary: "has about 100", commit: fewVMAs}},
	}, {
		Name: "manifest", Summary: "maps more memory and a further library after it was ready",
		Requirement: "SV-TOP-03", Rule: "manifest", Trigger: TriggerGo, Declared: true, Needs: needsExecFiles, commit: manifest(true),
		Twins: []Twin{{Name: "manifest-twin", Summary: "maps nothing more", Needs: needsExecFiles, commit: manifest(false)}},
	}}
}

func fixtures() []Spec {
	return []Spec{
		{Name: "hostile-names", Summary: "maps files with hostile names; the report has their exact bytes", Needs: needsExecFiles, commit: hostileNames},
		{Name: "restless", Summary: "maps, protects and unmaps without end; the mapping in the report stays", commit: restless},
		{Name: "restless-exec", Usage: "[TIMES]", Summary: "executes itself anew without end, or so many times", commit: restlessExec},
		{Name: "restless-fork", Summary: "starts and reaps short-lived processes without end", commit: restlessFork},
		{Name: "vmas", Usage: "N [EXECUTABLE]", Summary: "has N mappings of mixed permissions, so many of them executable", commit: vmas},
		{Name: "sleepers", Usage: "PROCESSES N [EXECUTABLE]", Summary: "is so many processes (it and copies of it) with N mappings each", commit: sleepers},
	}
}

// helpers are the further processes of offenders, and what these run.
func helpers() map[string]func(*run) error {
	return map[string]func(*run) error{
		"helper-map-file":   helperMapFile,
		"helper-map-shared": helperMapShared,
	}
}

func (t Twin) named(name string) Twin {
	t.Name = name
	return t
}

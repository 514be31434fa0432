package guard

import (
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Flags that rules look at, of the kernel's headers.
const (
	shmExec           = 0o100000   // SHM_EXEC (include/uapi/linux/shm.h)
	readImpliesExec   = 0x00400000 // READ_IMPLIES_EXEC (include/uapi/linux/personality.h)
	personalityQuery  = 0xffffffff
	otherNamespaces   = sys.NewUser | sys.NewNS | sys.NewPID | sys.NewIPC
	adviceCold        = 20 // MADV_COLD, and so on (include/uapi/asm-generic/mman-common.h)
	advicePageout     = 21
	adviceDontneedNow = 24 // MADV_DONTNEED_LOCKED
	adviceMergeable   = 12
	adviceDodump      = 17
)

// filterFor makes the filter of settings. watch has executable mappings of files looked at
// by the supervisor ([watcher]).
func filterFor(s *Settings, watch bool) *filter {
	f := &filter{deny: sys.SeccompErrno}
	if s.Violation == Kill {
		f.deny = sys.SeccompKill
	}
	if s.on(CodeCalls) {
		f.code(s)
	}
	if watch {
		f.add(sys.SeccompNotify, "mmap", condition{2, has, sys.ProtExec}, condition{3, lacks, sys.MapAnonymous})
		f.add(sys.SeccompNotify, "execve")
		f.add(sys.SeccompNotify, "execveat")
	}
	if s.on(NoNamespaces) {
		f.namespaces()
	}
	if s.on(NoAttach) {
		f.attach()
	}
	if s.on(NoDump) {
		f.forbid(syscall.EPERM, "prctl", condition{0, is, sys.PrSetDumpable}, condition{1, isNot, 0})
		f.forbid(syscall.EPERM, "madvise", condition{2, is, adviceDodump})
	}
	if s.on(NoMerge) {
		f.forbid(syscall.EPERM, "prctl", condition{0, is, sys.PrSetMemoryMerge}, condition{1, isNot, 0})
		f.forbid(syscall.EPERM, "prctl", condition{0, is, sys.PrSetMemoryMerge}, condition{1, wide, 0}) // a long: 1<<32 is not 0
		f.forbid(syscall.EPERM, "madvise", condition{2, is, adviceMergeable})
	}
	if s.on(NoURing) {
		f.forbid(syscall.EPERM, "io_uring_setup")
	}
	if s.on(KeepResident) {
		f.resident()
	}
	return f
}

// code refuses what makes code at run time.
func (f *filter) code(s *Settings) {
	f.forbid(syscall.EACCES, "memfd_create", condition{1, has, sys.MfdExec})
	if !s.on(MemfdNoExec) { // which makes those without the flag be as if they had it
		f.forbid(syscall.EACCES, "memfd_create", condition{1, lacks, sys.MfdNoexecSeal})
	}
	f.forbid(syscall.EACCES, "mmap", condition{2, every, sys.ProtWrite | sys.ProtExec})
	f.forbid(syscall.EACCES, "mmap", condition{2, has, sys.ProtExec}, condition{3, has, sys.MapAnonymous})
	for _, call := range []string{"mprotect", "pkey_mprotect"} {
		f.forbid(syscall.EACCES, call, condition{2, has, sys.ProtExec})
	}
	f.forbid(syscall.EACCES, "shmat", condition{2, has, shmExec})
	f.add(sys.SeccompAllow, "personality", condition{0, is, personalityQuery})
	f.forbid(syscall.EPERM, "personality", condition{0, has, readImpliesExec})
}

// namespaces refuses new ones, in which the program would be root, and mounts. The C library takes
// clone where clone3, whose flags a filter can't see, is not known.
func (f *filter) namespaces() {
	f.add(errno(syscall.ENOSYS), "clone3")
	f.forbid(syscall.EPERM, "clone", condition{0, has, otherNamespaces})
	f.forbid(syscall.EPERM, "unshare", condition{0, has, otherNamespaces})
	for _, call := range []string{"setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr"} {
		f.forbid(syscall.EPERM, call)
	}
}

// attach refuses the ways into the memory of other processes, its children included.
func (f *filter) attach() {
	for _, call := range []string{"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "userfaultfd", "perf_event_open", "bpf"} {
		f.forbid(syscall.EPERM, call)
	}
}

// resident refuses what takes memory out of its lock.
func (f *filter) resident() {
	for _, call := range []string{"munlock", "munlockall", "process_madvise"} {
		f.forbid(syscall.EPERM, call)
	}
	f.forbid(syscall.EPERM, "mlockall", condition{0, lacks, sys.MclFuture})
	for _, advice := range []uint32{adviceCold, advicePageout, adviceDontneedNow} {
		f.forbid(syscall.EPERM, "madvise", condition{2, is, advice})
	}
}

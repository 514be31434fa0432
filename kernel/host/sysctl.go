package host

import (
	"math"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// Sysctls are settings of the kernel as Documentation/admin-guide/sysctl describes
// them, under their own names. A number outside of the documented range is unknown
// ([ErrMalformed]): a newer kernel gave it a meaning that is not known here.
type Sysctls struct {
	MaxMapCount    Value[int64] `fact:"vm.max_map_count"`          // VMAs a process
	MmapMinAddr    Value[int64] `fact:"vm.mmap_min_addr"`          // bytes
	MmapRandomBits Value[int64] `fact:"vm.mmap_rnd_bits"`          // bits of ASLR for mappings
	RandomizeVA    Value[int64] `fact:"kernel.randomize_va_space"` // 0 off, 1 without brk, 2 all
	// MemfdNoexec is that of the reader's own pid namespace.
	MemfdNoexec           Value[int64]       `fact:"vm.memfd_noexec"`
	UnprivilegedUserfault Value[int64]       `fact:"vm.unprivileged_userfaultfd"`
	UnprivilegedBPF       Value[int64]       `fact:"kernel.unprivileged_bpf_disabled"` // 0 allowed, 1 and 2 not
	PerfEventParanoid     Value[int64]       `fact:"kernel.perf_event_paranoid"`
	KptrRestrict          Value[int64]       `fact:"kernel.kptr_restrict"`
	DmesgRestrict         Value[int64]       `fact:"kernel.dmesg_restrict"`
	IOUringDisabled       Value[int64]       `fact:"kernel.io_uring_disabled"` // 0 allowed, 1 for a group, 2 not
	SuidDumpable          Value[int64]       `fact:"fs.suid_dumpable"`
	CoreUsesPID           Value[int64]       `fact:"kernel.core_uses_pid"`
	PtraceScope           Value[int64]       `fact:"kernel.yama.ptrace_scope"` // absent without Yama
	KexecLoadDisabled     Value[int64]       `fact:"kernel.kexec_load_disabled"`
	ModulesDisabled       Value[int64]       `fact:"kernel.modules_disabled"`
	Sysrq                 Value[int64]       `fact:"kernel.sysrq"` // 0 off, 1 all, else a set of bits
	PanicOnOops           Value[int64]       `fact:"kernel.panic_on_oops"`
	CorePattern           Value[CorePattern] `fact:"kernel.core_pattern"`
}

// CorePattern is where core dumps go (core(5)).
type CorePattern struct {
	// Pattern is the template of the file, or of the program and its arguments.
	Pattern string `json:"pattern"`
	// Kind is "file", "pipe" (to a program that the kernel starts as root) or "socket"
	// (Linux 6.16).
	Kind string `json:"kind"`
}

func (s *session) sysctls(f *Facts) {
	const any32 = math.MaxInt32
	c := &f.Sysctls
	for _, sysctl := range []struct {
		to          *Value[int64]
		name        string
		least, most int64
	}{
		{&c.MaxMapCount, "vm/max_map_count", 0, any32},
		{&c.MmapMinAddr, "vm/mmap_min_addr", 0, math.MaxInt64},
		{&c.MmapRandomBits, "vm/mmap_rnd_bits", 0, 64},
		{&c.RandomizeVA, "kernel/randomize_va_space", 0, 2},
		{&c.MemfdNoexec, "vm/memfd_noexec", 0, 2},
		{&c.UnprivilegedUserfault, "vm/unprivileged_userfaultfd", 0, 1},
		{&c.UnprivilegedBPF, "kernel/unprivileged_bpf_disabled", 0, 2},
		{&c.PerfEventParanoid, "kernel/perf_event_paranoid", math.MinInt32, any32},
		{&c.KptrRestrict, "kernel/kptr_restrict", 0, 2},
		{&c.DmesgRestrict, "kernel/dmesg_restrict", 0, 1},
		{&c.IOUringDisabled, "kernel/io_uring_disabled", 0, 2},
		{&c.SuidDumpable, "fs/suid_dumpable", 0, 2},
		{&c.CoreUsesPID, "kernel/core_uses_pid", math.MinInt32, any32},
		{&c.PtraceScope, "kernel/yama/ptrace_scope", 0, 3},
		{&c.KexecLoadDisabled, "kernel/kexec_load_disabled", 0, 1},
		{&c.ModulesDisabled, "kernel/modules_disabled", 0, 1},
		{&c.Sysrq, "kernel/sysrq", 0, any32},
		{&c.PanicOnOops, "kernel/panic_on_oops", math.MinInt32, any32},
	} {
		*sysctl.to = s.sysctl(sysctl.name, sysctl.least, sysctl.most)
	}
	c.CorePattern = read(s.proc("sys", "kernel", "core_pattern"), parseCorePattern)
}

// sysctl reads one that is a number in the given range.
func (s *session) sysctl(name string, least, most int64) Value[int64] {
	return read(s.proc("sys", name), func(text string) (int64, error) { return parseInt(text, least, most) })
}

func parseCorePattern(text string) (CorePattern, error) {
	pattern := strings.TrimSuffix(text, "\n")
	if strings.ContainsAny(pattern, "\x00\n") {
		return CorePattern{}, malformed("%s is not one line", guarantee.Text(pattern))
	}
	switch {
	case strings.HasPrefix(pattern, "|"):
		return CorePattern{Pattern: pattern, Kind: "pipe"}, nil
	case strings.HasPrefix(pattern, "@"):
		return CorePattern{Pattern: pattern, Kind: "socket"}, nil
	}
	return CorePattern{Pattern: pattern, Kind: "file"}, nil
}

package guard

import (
	"encoding/binary"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// decide runs a filter as the kernel does (net/core/filter.c), over the instructions that filters here
// are made of.
func decide(t *testing.T, p []sys.Instruction, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[dataNumber:], number)
	binary.LittleEndian.PutUint32(data[dataArch:], arch)
	for i, a := range args {
		binary.LittleEndian.PutUint64(data[dataArgs+8*i:], a)
	}
	var a uint32
	for pc := 0; pc < len(p); pc++ {
		i, yes := p[pc], false
		switch i.Code {
		case bpfLoad:
			a = binary.LittleEndian.Uint32(data[i.K:])
			continue
		case bpfAnd:
			a &= i.K
			continue
		case bpfReturn:
			return i.K
		case bpfJumpEqual:
			yes = a == i.K
		case bpfJumpGE:
			yes = a >= i.K
		case bpfJumpSet:
			yes = a&i.K != 0
		default:
			t.Fatalf("instruction %#x", i.Code)
		}
		if yes {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

// TestFilter holds what the filter of safety answers against what it should, beside what is allowed.
func TestFilter(t *testing.T) {
	s, err := Combine(builtin["safety"])
	if err != nil {
		t.Fatal(err)
	}
	const eperm, eacces, enosys = 1, 13, 38
	allow := uint32(sys.SeccompAllow)
	for _, c := range []struct {
		call string
		args []uint64
		want uint32
	}{
		{"mmap", []uint64{0, 4096, sys.ProtRead | sys.ProtWrite, sys.MapPrivate | sys.MapAnonymous}, allow},
		{"mmap", []uint64{0, 4096, sys.ProtRead | sys.ProtWrite | sys.ProtExec, sys.MapPrivate | sys.MapAnonymous}, sys.SeccompErrno | eacces},
		{"mmap", []uint64{0, 4096, sys.ProtRead | sys.ProtExec, sys.MapPrivate | sys.MapAnonymous}, sys.SeccompErrno | eacces},
		{"mmap", []uint64{0, 4096, sys.ProtRead | sys.ProtExec, sys.MapPrivate, 3}, sys.SeccompNotify},
		{"mmap", []uint64{0, 4096, sys.ProtRead, sys.MapPrivate, 3}, allow},
		{"mprotect", []uint64{0, 4096, sys.ProtRead}, allow},
		{"mprotect", []uint64{0, 4096, sys.ProtRead | sys.ProtExec}, sys.SeccompErrno | eacces},
		{"pkey_mprotect", []uint64{0, 4096, sys.ProtExec}, sys.SeccompErrno | eacces},
		{"memfd_create", []uint64{0, 0}, allow}, // which vm.memfd_noexec makes not executable
		{"memfd_create", []uint64{0, sys.MfdExec}, sys.SeccompErrno | eacces},
		{"memfd_create", []uint64{0, sys.MfdNoexecSeal}, allow},
		{"personality", []uint64{personalityQuery}, allow},
		{"personality", []uint64{0}, allow},
		{"personality", []uint64{readImpliesExec}, sys.SeccompErrno | eperm},
		{"clone", []uint64{17}, allow},
		{"clone", []uint64{17 | sys.NewUser}, sys.SeccompErrno | eperm},
		{"clone3", nil, sys.SeccompErrno | enosys},
		{"prctl", []uint64{sys.PrSetDumpable, 1}, sys.SeccompErrno | eperm},
		{"prctl", []uint64{sys.PrSetDumpable, 0}, allow},
		{"prctl", []uint64{sys.PrGetDumpable, 1}, allow},
		{"madvise", []uint64{0, 0, 4}, allow}, // MADV_DONTNEED
		{"madvise", []uint64{0, 0, advicePageout}, sys.SeccompErrno | eperm},
		{"mlockall", []uint64{sys.MclCurrent}, sys.SeccompErrno | eperm},
		{"mlockall", []uint64{sys.MclCurrent | sys.MclFuture}, allow},
		{"munlock", nil, sys.SeccompErrno | eperm},
		{"ptrace", nil, sys.SeccompErrno | eperm},
		{"madvise", []uint64{0, 0, adviceMergeable}, sys.SeccompErrno | eperm},
		{"prctl", []uint64{sys.PrSetMemoryMerge, 1}, sys.SeccompErrno | eperm},
		{"prctl", []uint64{sys.PrSetMemoryMerge, 1 << 32}, sys.SeccompErrno | eperm},
		{"prctl", []uint64{sys.PrSetMemoryMerge, 0}, allow},
		{"munmap", nil, allow},
		{"execve", nil, sys.SeccompNotify},
		{"execveat", nil, sys.SeccompNotify},
	} {
		if _, ok := sys.CallNumbers[c.call]; !ok {
			t.Errorf("%s has no number", c.call)
		}
		if got := decide(t, filterFor(s, true).program(), sys.AuditArch(), sys.CallNumbers[c.call], c.args...); got != c.want {
			t.Errorf("%s%v: %#x, want %#x", c.call, c.args, got, c.want)
		}
	}
	for _, r := range filterFor(s, true).rules { // a name without a number would be about call 0
		if _, ok := sys.CallNumbers[r.call]; !ok {
			t.Errorf("%s has no number", r.call)
		}
	}
	if got := decide(t, filterFor(s, true).program(), 0x40000003, 1); got != sys.SeccompKill {
		t.Errorf("a call of another architecture: %#x", got)
	}
	s.Violation = Kill
	if got := decide(t, filterFor(s, true).program(), sys.AuditArch(), sys.CallNumbers["ptrace"]); got != sys.SeccompKill {
		t.Errorf("where a violation kills: %#x", got)
	}
	if got := decide(t, filterFor(s, true).program(), sys.AuditArch(), sys.CallNumbers["clone3"]); got != sys.SeccompErrno|enosys {
		t.Errorf("clone3 where a violation kills: %#x", got)
	}
}

// TestFilterWithoutNamespace: where vm.memfd_noexec can't be had, the filter asks for the flag.
func TestFilterWithoutNamespace(t *testing.T) {
	s, err := Combine(builtin["wx"])
	if err != nil {
		t.Fatal(err)
	}
	less := s.without([]Rule{MemfdNoExec})
	if got := decide(t, filterFor(&less, false).program(), sys.AuditArch(), sys.CallNumbers["memfd_create"], 0, 0); got != sys.SeccompErrno|13 {
		t.Errorf("memfd_create(0): %#x", got)
	}
}

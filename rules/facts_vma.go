package rules

import (
	"math/bits"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

// VMA is what is known of one mapping.
type VMA struct {
	// First address. Addresses of the kernel's half are negative; use hex() to show one.
	Start int64 `cel:"start" source:"maps"`
	// Address after the last byte.
	End int64 `cel:"end" source:"maps"`
	// Length in bytes.
	Size int64 `cel:"size" source:"maps"`
	// Access as four letters, such as "r-xp".
	Perms string `cel:"perms" source:"maps"`
	// It can be read.
	Readable bool `cel:"readable" source:"maps"`
	// It can be written.
	Writable bool `cel:"writable" source:"maps"`
	// Its bytes can be executed.
	Executable bool `cel:"executable" source:"maps"`
	// Writes reach the file and every other process that maps it (MAP_SHARED).
	Shared bool `cel:"shared" source:"maps"`
	// Offset into the file, in bytes.
	Offset int64 `cel:"offset" source:"maps"`
	// Device of the file as "major:minor", decimal.
	Device string `cel:"device" source:"maps"`
	// Inode of the file; 0 where there is none.
	Inode int64 `cel:"inode" source:"maps"`
	// Path of the file, or what the kernel says in its place, such as "[heap]". A
	// deleted file's ends in " (deleted)".
	Name string `cel:"name" source:"maps"`
	// What stands behind it, one of the kinds below.
	Kind string `cel:"kind" source:"maps"`
	// The file has no name any more. A memfd never had one: it counts as deleted too.
	Deleted bool `cel:"deleted" source:"maps"`
	// VmFlags, as codes of two letters; see proc_pid_smaps(5).
	Flags []string `cel:"flags" source:"smaps"`
	// Bytes in memory, without huge pages of hugetlbfs.
	RSS int64 `cel:"rss" source:"smaps"`
	// Bytes in memory, each page divided by the number of mappings that share it.
	PSS int64 `cel:"pss" source:"smaps"`
	// Bytes in memory, with huge pages of hugetlbfs.
	Resident int64 `cel:"resident" source:"smaps"`
	// Bytes that are locked and in memory, divided as in pss: less than rss where
	// pages are shared.
	Locked int64 `cel:"locked" source:"smaps"`
	// Bytes of private pages that are in swap.
	Swap int64 `cel:"swap" source:"smaps"`
	// Bytes in memory that belong to no file.
	Anonymous int64 `cel:"anonymous" source:"smaps"`
	// Bytes in memory that no other process maps and that were written.
	PrivateDirty int64 `cel:"private_dirty" source:"smaps"`
	// Bytes in memory that other processes map too and that were written.
	SharedDirty int64 `cel:"shared_dirty" source:"smaps"`
	// Bytes that the kernel has merged with equal pages (KSM).
	KSM int64 `cel:"ksm" source:"smaps"`
	// Size in bytes of the pages that the kernel uses.
	PageSize int64 `cel:"page_size" source:"smaps"`
	// Pages (of the base size) that are in memory.
	PresentPages int64 `cel:"present_pages" source:"pagemap"`
	// Pages that are not in memory, guard pages left out.
	AbsentPages int64 `cel:"absent_pages" source:"pagemap"`
	// Pages that are guards (MADV_GUARD_INSTALL): an access faults.
	GuardPages int64 `cel:"guard_pages" source:"pagemap"`
	// Pages that another process maps too.
	ForeignPages int64 `cel:"foreign_pages" source:"kpagecount"`
	// Processes seen to map some of the same pages; may be fewer than there are.
	ForeignOwners []int `cel:"foreign_owners" source:"kpagecount"`
	// The file's mode has an executable bit. For memfds.
	FileExecutable bool `cel:"file_executable" source:"fd"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}

// deletedSuffix is what the kernel puts after the name of a file that was unlinked.
const deletedSuffix = " (deleted)"

// Set fills in what the kernel says of a mapping in maps and smaps, and leaves alone
// what comes from elsewhere, including Unknown. Where v comes from maps or
// PROCMAP_QUERY, the facts from smaps are zero and the caller must declare them unknown.
// The slices of f are used again.
func (f *VMA) Set(v *vma.VMA, kind Kind) {
	f.Start, f.End, f.Size = int64(v.Start), int64(v.End), int64(v.Size())
	f.setPerm(v.Perm)
	f.Offset, f.Device, f.Inode = int64(v.Offset), v.Dev.String(), int64(v.Inode)
	f.Name, f.Kind = guarantee.Text(v.Name), kind.String()
	f.Deleted = v.Inode != 0 && strings.HasSuffix(f.Name, deletedSuffix)
	f.Flags = appendCodes(f.Flags[:0], v.Flags)
	f.RSS, f.PSS, f.Resident = int64(v.Mem.Rss), int64(v.Mem.Pss), int64(v.Mem.Resident())
	f.Locked, f.Swap, f.Anonymous = int64(v.Mem.Locked), int64(v.Mem.Swap), int64(v.Mem.Anonymous)
	f.PrivateDirty, f.SharedDirty = int64(v.Mem.PrivateDirty), int64(v.Mem.SharedDirty)
	f.KSM, f.PageSize = int64(v.Mem.KSM), int64(v.Mem.KernelPageSize)
}

func (f *VMA) setPerm(p vma.Perm) {
	f.Perms = permText[p&15]
	f.Readable, f.Writable = p.Has(vma.PermRead), p.Has(vma.PermWrite)
	f.Executable, f.Shared = p.Has(vma.PermExec), p.Has(vma.PermShared)
}

// permText and flagCode keep Set free of allocations.
var (
	permText = func() (t [16]string) {
		for p := range t {
			t[p] = vma.Perm(p).String()
		}
		return t
	}()
	flagCode = func() (t [64]string) {
		for i := range t {
			if codes := vma.Flags(1 << i).Codes(); len(codes) == 1 {
				t[i] = codes[0]
			}
		}
		return t
	}()
)

func appendCodes(codes []string, f vma.Flags) []string {
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		codes = append(codes, flagCode[bits.TrailingZeros64(rest)])
	}
	return codes
}

package vma

import "fmt"

// VMA is one virtual memory area, as /proc/PID/maps, /proc/PID/smaps or
// PROCMAP_QUERY describes it. All sizes are in bytes.
//
// The byte slices are borrowed: they are valid until the next VMA of the same
// [Reader]. [VMA.Clone] makes a copy that stays.
type VMA struct {
	Start, End uint64 // [Start, End), page-aligned
	Perm       Perm
	Offset     uint64 // into the file, where there is one
	Dev        Dev
	Inode      uint64 // 0 where no file is mapped
	// Name is the path of the file, or what the kernel says in its place, such as
	// "[heap]". The escape that seq_file makes of a newline is undone.
	Name []byte
	// Raw is the kernel's line, or for smaps its whole record, without the last
	// newline. A VMA from PROCMAP_QUERY has none.
	Raw []byte

	// What follows is known from smaps alone.

	// Flags are the VmFlags.
	Flags Flags
	// Mem is how the pages are accounted.
	Mem Mem
}

// Size returns the length in bytes.
func (v *VMA) Size() uint64 { return v.End - v.Start }

// Clone returns a copy that does not borrow.
func (v *VMA) Clone() VMA {
	c := *v
	c.Name = append([]byte(nil), v.Name...)
	c.Raw = append([]byte(nil), v.Raw...)
	return c
}

// Dev is the device of the file system that a file is on. For some file systems
// (btrfs, overlayfs) stat(2) says another one than the kernel's list of VMAs.
type Dev struct{ Major, Minor uint32 }

// String returns "major:minor" in decimal.
func (d Dev) String() string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// Perm is what the list of VMAs says of access. It is a set.
type Perm uint8

// The permissions, in the bits of PROCMAP_QUERY.
const (
	PermRead   Perm = 1 << iota // r
	PermWrite                   // w
	PermExec                    // x
	PermShared                  // s, else private: p
)

// Has reports whether p holds all of want.
func (p Perm) Has(want Perm) bool { return p&want == want }

// String returns the four letters of /proc/PID/maps, such as "r-xp".
func (p Perm) String() string {
	b := [4]byte{'-', '-', '-', 'p'}
	for i, c := range []byte("rwxs") {
		if p&(1<<i) != 0 {
			b[i] = c
		}
	}
	return string(b[:])
}

// Mem is what smaps says of the pages of a VMA, in bytes.
type Mem struct {
	// KernelPageSize is the size of the pages that the kernel uses to back it.
	KernelPageSize uint64
	Rss            uint64
	Pss            uint64
	SharedClean    uint64
	SharedDirty    uint64
	PrivateClean   uint64
	PrivateDirty   uint64
	Referenced     uint64
	Anonymous      uint64
	KSM            uint64
	LazyFree       uint64
	AnonHuge       uint64
	SharedHugetlb  uint64
	PrivateHugetlb uint64
	Swap           uint64
	// Locked is the proportional share of the resident pages that are locked: less
	// than Rss where pages are shared.
	Locked uint64
	// ProtectionKey is the memory protection key; 0 also where there are none.
	ProtectionKey uint8
}

// Resident returns the bytes that are in memory; Rss leaves out huge pages of
// hugetlbfs.
func (m *Mem) Resident() uint64 { return m.Rss + m.SharedHugetlb + m.PrivateHugetlb }

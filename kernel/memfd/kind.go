package memfd

// Kind says what a file on one of the kernel's own memory file systems is.
type Kind uint8

// The kinds of files.
const (
	None         Kind = iota // not on one of those file systems, or of no known kind
	Memfd                    // memfd_create(2)
	HugetlbMemfd             // memfd_create(2) with MFD_HUGETLB
	Secret                   // memfd_secret(2)
	SharedAnon               // mmap(2) with MAP_SHARED and MAP_ANONYMOUS
	SysV                     // shmget(2), also of huge pages
	HugetlbAnon              // mmap(2) with MAP_HUGETLB and MAP_ANONYMOUS
)

var kindNames = [...]string{"none", "memfd", "hugetlb memfd", "secret", "shared anonymous", "System V", "hugetlb anonymous"}

// String returns the kind in words, such as "hugetlb memfd".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// IsMemfd reports whether memfd_create made it.
func (k Kind) IsMemfd() bool { return k == Memfd || k == HugetlbMemfd }

// Inventoried reports whether an [Inventory] lists files of this kind: memfds and
// secret memory.
func (k Kind) Inventoried() bool { return k.IsMemfd() || k == Secret }

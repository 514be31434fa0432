package rules

// Kind says what stands behind a VMA or an inode. Whoever makes the facts decides it.
type Kind uint8

// The kinds.
const (
	KindOther           Kind = iota // none of those below, such as a device
	KindAnonymous                   // private, no file
	KindHeap                        // [heap]
	KindStack                       // [stack] of the first thread
	KindFile                        // a file that has, or had, a path
	KindVDSO                        // [vdso]
	KindVVar                        // [vvar], [vvar_vclock]
	KindVsyscall                    // [vsyscall]: not memory of the process
	KindMemfd                       // memfd_create(2)
	KindSecretmem                   // memfd_secret(2)
	KindSharedAnonymous             // MAP_SHARED|MAP_ANONYMOUS, shown as /dev/zero
	KindSysV                        // shmget(2)
	KindHugetlb                     // hugetlbfs, also a memfd of huge pages
	kinds
)

var kindNames = [kinds]string{
	"other", "anonymous", "heap", "stack", "file", "vdso", "vvar", "vsyscall",
	"memfd", "secretmem", "shared_anonymous", "sysv", "hugetlb",
}

// String returns the kind as rules spell it.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return kindNames[KindOther]
}

// ParseKind is the reverse of [Kind.String].
func ParseKind(name string) (Kind, bool) {
	for i, known := range kindNames {
		if name == known {
			return Kind(i), true
		}
	}
	return KindOther, false
}

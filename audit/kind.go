package audit

import (
	"bytes"
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

const deletedSuffix = " (deleted)"

var deletedBytes = []byte(deletedSuffix)

// KindOf says what stands behind a VMA. Names can be chosen by whoever made a file, so
// what is on the kernel's own memory file systems is told by its device.
func KindOf(v *vma.VMA, devices *memfd.Devices) rules.Kind {
	if !hasFile(v) {
		return kindWithoutFile(v)
	}
	if devices.On(v.Dev.Major, v.Dev.Minor) {
		switch devices.Classify(v.Dev.Major, v.Dev.Minor, string(v.Name)) {
		case memfd.Memfd:
			return rules.KindMemfd
		case memfd.HugetlbMemfd, memfd.HugetlbAnon:
			return rules.KindHugetlb
		case memfd.Secret:
			return rules.KindSecretmem
		case memfd.SharedAnon:
			return rules.KindSharedAnonymous
		case memfd.SysV:
			return rules.KindSysV
		}
	}
	if v.Flags.Has(vma.FlagHugetlb) {
		return rules.KindHugetlb
	}
	if len(v.Name) > 0 && v.Name[0] == '/' && !v.Flags.Has(vma.FlagPFNMap) {
		return rules.KindFile
	}
	return rules.KindOther
}

func kindWithoutFile(v *vma.VMA) rules.Kind {
	switch name := v.Name; {
	case len(name) == 0:
		return rules.KindAnonymous
	case string(name) == "[heap]":
		return rules.KindHeap
	case string(name) == "[stack]":
		return rules.KindStack
	case string(name) == "[vdso]":
		return rules.KindVDSO
	case bytes.HasPrefix(name, []byte("[vvar")):
		return rules.KindVVar
	case string(name) == "[vsyscall]":
		return rules.KindVsyscall
	case bytes.HasPrefix(name, []byte("[anon:")):
		return rules.KindAnonymous
	case bytes.HasPrefix(name, []byte("[anon_shmem:")):
		return rules.KindSharedAnonymous
	}
	return rules.KindOther
}

// deleted reports whether the file of a VMA has lost the name under which it was mapped.
// The kernel says so by the suffix " (deleted)", with which the name of a file can also
// end in earnest: that one is still there under the whole name.
func deleted(p *process.Process, v *vma.VMA) bool {
	if !hasFile(v) || !bytes.HasSuffix(v.Name, deletedBytes) {
		return false
	}
	link := filepath.Join("map_files", strconv.FormatUint(v.Start, 16)+"-"+strconv.FormatUint(v.End, 16))
	return !standsUnder(p, string(v.Name), func() (sys.FileStat, error) { return p.Stat(link) }, v)
}

// exeDeleted is deleted for the program of a process.
func exeDeleted(p *process.Process, exe string) bool {
	return strings.HasSuffix(exe, deletedSuffix) &&
		!standsUnder(p, exe, func() (sys.FileStat, error) { return p.Stat("exe") }, nil)
}

// standsUnder reports whether a file is there under a path, in the process' own view of
// the file system. The file is known by file, and where that is refused, by the device
// and the inode of v.
func standsUnder(p *process.Process, path string, file func() (sys.FileStat, error), v *vma.VMA) bool {
	named, err := p.Stat(filepath.Join("root", path))
	if err != nil {
		return false
	}
	st, err := file()
	if err == nil {
		return st.Dev == named.Dev && st.Ino == named.Ino
	}
	return errors.Is(err, process.ErrDenied) && v != nil && named.Ino == v.Inode &&
		sys.Major(named.Dev) == v.Dev.Major && sys.Minor(named.Dev) == v.Dev.Minor
}

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// controls show, in each run, that the readings can see what they claim to: the audit
// reads its own process, of which it knows the truth, by the same code. What reads a
// copy of /proc, or a kernel that says less, gets no control, and nothing can hold.
type controls struct {
	process guarantee.Control // who a process is
	space   guarantee.Control // smaps: permissions, flags, amounts
	join    guarantee.Control // device and inode of a mapping and of a descriptor
	pages   guarantee.Control // pagemap
	frames  guarantee.Control // kpagecount
	host    guarantee.Control // that the facts are of the kernel that runs; each has its own source
}

func runControls(proc process.FS, devices memfd.Devices, facts *host.Facts) controls {
	if !proc.Live() {
		absent := guarantee.Control{Status: guarantee.ControlAbsent, Detail: proc.Root() + " is not the running kernel's proc file system: nothing can be tried on it"}
		return controls{absent, absent, absent, absent, absent, absent}
	}
	return controls{
		process: control(func() (string, error) { return controlProcess(proc) }),
		frames:  control(func() (string, error) { return controlFrames(proc) }),
		space:   control(func() (string, error) { return controlSpace(proc) }),
		join:    control(func() (string, error) { return controlJoin(proc, devices) }),
		pages:   control(func() (string, error) { return controlPages(proc) }),
		host:    control(func() (string, error) { return controlHost(proc, facts) }),
	}
}

// errNoControl: the control could not be tried, which says nothing of the method.
var errNoControl = errors.New("not tried")

func control(try func() (string, error)) guarantee.Control {
	seen, err := try()
	switch {
	case errors.Is(err, errNoControl):
		return guarantee.Control{Status: guarantee.ControlAbsent, Detail: guarantee.Text(err.Error())}
	case err != nil:
		return guarantee.Control{Status: guarantee.ControlFailed, Detail: guarantee.Text(err.Error())}
	}
	return guarantee.Control{Status: guarantee.ControlPassed, Detail: seen}
}

// ownVMA reads the VMA of this process that begins at addr.
func ownVMA(proc process.FS, addr uint64) (vma.VMA, error) {
	var found vma.VMA
	p, err := proc.Self()
	if err != nil {
		return found, err
	}
	defer p.Close()
	var r vma.Reader
	err = r.Smaps(p, func(v *vma.VMA) error {
		if v.Start <= addr && addr < v.End {
			found = v.Clone()
		}
		return nil
	})
	if err == nil && found.End == 0 {
		err = fmt.Errorf("own mapping at %#x is not in the list", addr)
	}
	return found, err
}

// own maps pages of this process between two without access, so that the kernel merges
// them with no neighbour, and marks them. release gives all of it back.
func own(pages, prot int) (b []byte, release func(), err error) {
	size := os.Getpagesize()
	all, err := sys.Mmap((pages+2)*size, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: map a page: %w", errNoControl, err)
	}
	release = func() { sys.Munmap(all) }
	b = all[size : (pages+1)*size]
	if err = sys.Mprotect(b, prot); err == nil {
		err = sys.Madvise(b, sys.MadvDontdump)
	}
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("%w: mark a page: %w", errNoControl, err)
	}
	return b, release, nil
}

// controlProcess: what is read of this process is what system calls say of it.
func controlProcess(proc process.FS) (string, error) {
	p, err := proc.Self()
	if err != nil {
		return "", err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	if info.PID != os.Getpid() || info.PPID != os.Getppid() || int(info.UID) != os.Getuid() || int(info.EUID) != os.Geteuid() || strings.TrimSuffix(info.Exe, deletedSuffix) != exe {
		return "", fmt.Errorf("own process reads as %d, parent %d, user %d, effective %d, program %s", info.PID, info.PPID, info.UID, info.EUID, info.Exe)
	}
	return "of the own process, ids, users and program read as system calls say them", nil
}

// controlFrames: the frame of an own page that is mapped twice counts as mapped twice.
func controlFrames(proc process.FS) (string, error) {
	frames, err := vma.OpenFrames(proc)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	defer frames.Close()
	f, err := sys.MemfdCreate(controlName, sys.MfdNoexecSeal)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	defer f.Close()
	size := os.Getpagesize()
	if err := f.Truncate(int64(size)); err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	search := frameSearch{reader: &vma.Reader{}}
	p, err := proc.Self()
	if err != nil {
		return "", err
	}
	defer p.Close()
	for mappings := uint64(1); mappings <= 2; mappings++ {
		b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNoControl, err)
		}
		defer sys.Munmap(b)
		b[0] = 1
		var counted uint64
		if err := search.present(p, &vma.VMA{Start: sys.Addr(b), End: sys.Addr(b) + uint64(size)}, func(page vma.Page) (err error) {
			if page.Frame() == 0 {
				return fmt.Errorf("%w: %w", errNoControl, errFramesHidden)
			}
			counted, err = frames.Mapped(page.Frame())
			return err
		}); err != nil {
			return "", err
		}
		if counted != mappings {
			return "", fmt.Errorf("the frame of an own page that is mapped %d times counts as mapped %d times", mappings, counted)
		}
	}
	return "the frame of an own page counted as mapped once, and after a second mapping as mapped twice", nil
}

// controlSpace: own memory reads as what it is, before and after a change; code reads as
// executable and not writable.
func controlSpace(proc process.FS) (string, error) {
	b, release, err := own(1, sys.ProtRead|sys.ProtWrite)
	if err != nil {
		return "", err
	}
	defer release()
	b[0] = 1
	locked := sys.Mlock(b) == nil
	before, err := ownVMA(proc, sys.Addr(b))
	if err != nil {
		return "", err
	}
	if before.Perm != vma.PermRead|vma.PermWrite || !before.Flags.Has(vma.FlagDontDump) || before.Flags.Has(vma.FlagLocked) != locked ||
		before.Mem.Rss != before.Size() || locked && before.Mem.Locked != before.Size() {
		return "", fmt.Errorf("own page rw, dontdump, touched, locked %v reads as %s %s, Rss %d", locked, before.Perm, before.Flags, before.Mem.Rss)
	}
	if err := sys.Mprotect(b, sys.ProtNone); err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	after, err := ownVMA(proc, sys.Addr(b))
	if err != nil {
		return "", err
	}
	if after.Perm != 0 || after.Flags.Has(vma.FlagWrite) {
		return "", fmt.Errorf("own page without access reads as %s %s", after.Perm, after.Flags)
	}
	code, err := ownVMA(proc, uint64(reflect.ValueOf(controlSpace).Pointer()))
	if err != nil {
		return "", err
	}
	if !code.Perm.Has(vma.PermExec) || code.Perm.Has(vma.PermWrite) {
		return "", fmt.Errorf("own code reads as %s", code.Perm)
	}
	return fmt.Sprintf("an own page read as %s with %s and Rss %d, after mprotect as %s; own code as %s",
		before.Perm, before.Flags, before.Mem.Rss, after.Perm, code.Perm), nil
}

const controlName = "safevma-control"

// controlJoin: a mapping and a descriptor of an own memfd name the same file.
func controlJoin(proc process.FS, devices memfd.Devices) (string, error) {
	f, err := sys.MemfdCreate(controlName, sys.MfdNoexecSeal)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	defer f.Close()
	if err := f.Truncate(int64(os.Getpagesize())); err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	b, err := sys.Mmap(os.Getpagesize(), sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	defer sys.Munmap(b)
	mapped, err := ownVMA(proc, sys.Addr(b))
	if err != nil {
		return "", err
	}
	p, err := proc.Self()
	if err != nil {
		return "", err
	}
	defer p.Close()
	var held *memfd.Descriptor
	if err := memfd.Holders(p, devices, func(d memfd.Descriptor) error {
		if d.FD == int(f.Fd()) {
			held = &d
		}
		return nil
	}); err != nil {
		return "", err
	}
	switch {
	case held == nil:
		return "", fmt.Errorf("own memfd at descriptor %d was not found", f.Fd())
	case !joins(&mapped) || !bytes.Contains(mapped.Name, []byte(controlName)):
		return "", fmt.Errorf("own shared mapping reads as %s %s", mapped.Perm, guarantee.Text(mapped.Name))
	case held.ID != (memfd.ID{Device: memfd.Device{Major: mapped.Dev.Major, Minor: mapped.Dev.Minor}, Inode: mapped.Inode}):
		return "", fmt.Errorf("own memfd is %v by its descriptor, %v inode %d by its mapping", held.ID, mapped.Dev, mapped.Inode)
	case held.SealsErr == nil && !held.Seals.Has(memfd.SealExec), held.Executable():
		return "", fmt.Errorf("own memfd that is sealed against execution reads as mode %o, seals %v", held.Mode, held.Seals)
	}
	return fmt.Sprintf("an own memfd was found by its descriptor, with mode %o and seal %v, and by its writable mapping, under one device and inode", held.Mode&0o777, held.Seals), nil
}

// controlPages: of two own pages, the touched one is present and the other is not.
func controlPages(proc process.FS) (string, error) {
	b, release, err := own(2, sys.ProtRead|sys.ProtWrite)
	if err != nil {
		return "", err
	}
	defer release()
	if err := sys.Madvise(b, sys.MadvNohugepage); err != nil && !errors.Is(err, syscall.EINVAL) {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	b[0] = 1
	p, err := proc.Self()
	if err != nil {
		return "", err
	}
	defer p.Close()
	var r vma.Reader
	for _, flags := range []vma.Flags{0, vma.FlagGuard} { // by both ways of counting
		n, err := countPages(&r, p, &vma.VMA{Start: sys.Addr(b), End: sys.Addr(b) + uint64(len(b)), Flags: flags})
		if err != nil {
			return "", err
		}
		if n.present != 1 || n.absent != 1 {
			return "", fmt.Errorf("of two own pages, one touched, %d read as present and %d as absent", n.present, n.absent)
		}
	}
	return "of two own pages, the touched one read as present, the other as absent", nil
}

// controlHost: what is read of the host is of the kernel that runs.
func controlHost(proc process.FS, facts *host.Facts) (string, error) {
	text, err := os.ReadFile(proc.Path("sys/kernel/osrelease"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	u, err := facts.Kernel.Uname.Get()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoControl, err)
	}
	if read := strings.TrimSuffix(string(text), "\n"); u.Release != read {
		return "", fmt.Errorf("the tree is of kernel %s, and %s runs", read, u.Release)
	}
	return "the tree that was read says the same kernel release as uname(2): " + guarantee.Text(u.Release), nil
}

package memfd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Device names a file system. The kernel says the same numbers in its list of VMAs
// and, encoded, as st_dev of stat(2).
type Device struct{ Major, Minor uint32 }

// String returns "major:minor" in decimal.
func (d Device) String() string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// known: the kernel never gives 0:0 to a file system; it stands in the list of VMAs
// where no file is mapped.
func (d Device) known() bool { return d != Device{} }

func deviceOf(st *sys.FileStat) Device {
	return Device{Major: sys.Major(st.Dev), Minor: sys.Minor(st.Dev)}
}

// Devices are the file systems that the running kernel keeps memfds and secret memory
// on. They stay the same until the next boot. The zero value recognises nothing.
type Devices struct {
	Memfd   Device
	Hugetlb []HugetlbDevice // in ascending order of the page size
	Secret  Device          // zero where the kernel has no secret memory
	// Gaps are the kinds that the kernel may have, but that could not be tried, with
	// the reason: files of such a kind are not recognised, but [Devices.Doubtful].
	Gaps []Gap
}

// HugetlbDevice is where the memfds of one size of huge pages are.
type HugetlbDevice struct {
	Device
	PageSize uint64 // in bytes
}

// Gap is a kind of file that can't be recognised.
type Gap struct {
	Kind Kind
	Err  error
}

const (
	memfdPrefix   = "/memfd:"
	secretPrefix  = "/secretmem"
	deletedSuffix = " (deleted)"
)

// LearnDevices makes a memfd, one for every size of huge pages, and a file of secret
// memory, looks at the devices that they are on, and closes them. It needs no
// privilege, and /proc mounted at /proc. It fails where no memfd can be made, or where
// what was made is not named as this package expects: nothing can be recognised then.
//
// A kernel without huge pages or secret memory answers as a filter of system calls that
// says ENOSYS: such a filter on this process stays unnoticed, and files of that kind with
// it.
func LearnDevices() (Devices, error) {
	var d Devices
	var err error
	if d.Memfd, err = learn(Memfd, func() (*os.File, error) { return ownMemfd(0) }); err != nil {
		return Devices{}, fmt.Errorf("learn the device of memfds: %w", err)
	}
	for shift := 12; shift < 40; shift++ {
		dev, err := learn(HugetlbMemfd, func() (*os.File, error) { return ownMemfd(sys.MfdHugetlb | shift<<sys.MfdHugeShift) })
		switch {
		case err == nil:
			d.Hugetlb = append(d.Hugetlb, HugetlbDevice{dev, 1 << shift})
		case !absent(err):
			d.Gaps = append(d.Gaps, Gap{HugetlbMemfd, fmt.Errorf("pages of %d bytes: %w", uint64(1)<<shift, err)})
		}
	}
	if d.Secret, err = learn(Secret, sys.MemfdSecret); err != nil && !absent(err) {
		d.Gaps = append(d.Gaps, Gap{Secret, err})
	}
	return d, d.check()
}

const ownName = "safevma"

// ownMemfd makes a memfd that every setting of vm.memfd_noexec allows; kernels before
// 6.3 know no MFD_NOEXEC_SEAL.
func ownMemfd(flags int) (*os.File, error) {
	f, err := sys.MemfdCreate(ownName, flags|sys.MfdNoexecSeal)
	if errors.Is(err, syscall.EINVAL) {
		return sys.MemfdCreate(ownName, flags)
	}
	return f, err
}

// learn returns the device of the file that create makes, and controls that the kernel
// names it as files of that kind are recognised.
func learn(kind Kind, create func() (*os.File, error)) (Device, error) {
	f, err := create()
	if err != nil {
		return Device{}, err
	}
	defer f.Close()
	st, err := sys.Stat(f)
	if err != nil {
		return Device{}, err
	}
	link, err := sys.LinkText(f)
	if err != nil {
		return Device{}, err
	}
	want := memfdPrefix + ownName + deletedSuffix
	if kind == Secret {
		want = secretPrefix + deletedSuffix
	}
	if link != want {
		return Device{}, fmt.Errorf("the kernel calls a file of this kind %q, not %q", link, want)
	}
	return deviceOf(&st), nil
}

// absent reports whether the error says that the kernel, or this machine, has no such
// memory at all.
func absent(err error) bool {
	return errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENOSYS) ||
		errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT)
}

// check finds a kernel that is not the one this package was written for: the kinds are
// told apart by their devices.
func (d *Devices) check() error {
	seen := map[Device]Kind{d.Memfd: Memfd}
	for _, h := range d.Hugetlb {
		if other, ok := seen[h.Device]; ok {
			return fmt.Errorf("device %v holds %v and %v", h.Device, other, HugetlbMemfd)
		}
		seen[h.Device] = HugetlbMemfd
	}
	if other, ok := seen[d.Secret]; ok {
		return fmt.Errorf("device %v holds %v and %v", d.Secret, other, Secret)
	}
	return nil
}

// On reports whether a device is one of these file systems: a cheap question to ask of
// every VMA before its path is looked at.
func (d *Devices) On(major, minor uint32) bool {
	dev := Device{major, minor}
	if !dev.known() {
		return false
	}
	return dev == d.Memfd || dev == d.Secret ||
		slices.ContainsFunc(d.Hugetlb, func(h HugetlbDevice) bool { return h.Device == dev })
}

// ErrDoubtful: a file is called as one of a kind that could not be learned is, and on none
// of the devices that were. It is one, or a fake.
var ErrDoubtful = errors.New("it may be of a kind that could not be learned")

// Gap returns why not every file of the kind can be recognised, nil where it can. Of huge
// pages those of one size may be the reason, which [HugetlbMemfd], [HugetlbAnon] and
// [SysV] share.
func (d *Devices) Gap(kind Kind) error {
	if kind == HugetlbAnon || kind == SysV {
		kind = HugetlbMemfd // on the same devices
	}
	var reasons []error
	for _, g := range d.Gaps {
		if g.Kind == kind {
			reasons = append(reasons, g.Err)
		}
	}
	return errors.Join(reasons...)
}

// Doubtful reports whether a file that [Devices.Classify] gives no kind may be a memfd or
// secret memory all the same, because that kind has a [Devices.Gap]. It may as well be a
// fake: any file of that name.
func (d *Devices) Doubtful(major, minor uint32, path string) bool {
	return d.doubt(major, minor, path) != nil
}

// doubt returns [ErrDoubtful] with the reason of the gap.
func (d *Devices) doubt(major, minor uint32, path string) error {
	if dev := (Device{major, minor}); len(d.Gaps) == 0 || !dev.known() || d.On(major, minor) {
		return nil
	}
	kind := None
	switch {
	case strings.TrimSuffix(path, deletedSuffix) == secretPrefix:
		kind = Secret
	case strings.HasPrefix(path, memfdPrefix):
		kind = HugetlbMemfd
	}
	if gap := d.Gap(kind); gap != nil {
		return fmt.Errorf("%q: %w: %v: %w", path, ErrDoubtful, kind, gap)
	}
	return nil
}

// Classify says what a file is, from its device and from the path that the kernel gives
// for it in /proc/PID/fd, /proc/PID/exe or the list of VMAs.
func (d *Devices) Classify(major, minor uint32, path string) Kind {
	if !d.On(major, minor) {
		return None
	}
	switch (Device{major, minor}) {
	case d.Memfd:
		return shmemKind(path, Memfd, "/dev/zero", SharedAnon)
	case d.Secret:
		if strings.TrimSuffix(path, deletedSuffix) == secretPrefix {
			return Secret
		}
		return None
	}
	return shmemKind(path, HugetlbMemfd, "/anon_hugepage", HugetlbAnon)
}

func shmemKind(path string, memfd Kind, anonName string, anon Kind) Kind {
	switch {
	case strings.HasPrefix(path, memfdPrefix):
		return memfd
	case strings.HasPrefix(path, "/SYSV"):
		return SysV
	case strings.TrimSuffix(path, deletedSuffix) == anonName:
		return anon
	}
	return None
}

// candidate reports whether a file of that path could be one that is looked for: a cheap
// question before the dear one.
func candidate(path string) bool {
	return strings.HasPrefix(path, memfdPrefix) || strings.HasPrefix(path, secretPrefix)
}

// fileName takes from a path what the kernel put around the name.
func fileName(path string) string {
	name, ok := strings.CutPrefix(path, memfdPrefix)
	if !ok {
		name = strings.TrimPrefix(path, "/")
	}
	return strings.TrimSuffix(name, deletedSuffix)
}

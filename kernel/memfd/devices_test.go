package memfd_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
)

// mapped is what a line of /proc/PID/maps says; this reader is independent of the one
// that the product uses.
type mapped struct {
	major, minor uint32
	inode        uint64
	path         string
	start, end   uint64
	perms        string
}

func maps(t *testing.T, pid int) []mapped {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	var all []mapped
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var m mapped
		var offset uint64
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s %x %x:%x %d", &m.start, &m.end, &m.perms, &offset, &m.major, &m.minor, &m.inode); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		if _, path, ok := strings.Cut(s.Text(), "/"); ok {
			m.path = strings.ReplaceAll("/"+path, `\012`, "\n")
		}
		all = append(all, m)
	}
	return all
}

func (m *mapped) mapping() memfd.Mapping {
	return memfd.Mapping{Major: m.major, Minor: m.minor, Inode: m.inode, Path: m.path, Start: m.start, End: m.end, Perms: m.perms}
}

// What the kernel says of a memfd by fstat and in the list of VMAs must be the same
// device: both are compared with one that was learned from fstat.
func TestDeviceNumbersAgree(t *testing.T) {
	dev := learn(t)
	type file struct {
		kind memfd.Kind
		make func(t *testing.T) *os.File
		dev  memfd.Device
		size uint64
	}
	ordinary := func(flags int) func(*testing.T) *os.File {
		return func(t *testing.T) *os.File {
			f, _ := newMemfd(t, flags)
			return f
		}
	}
	files := []file{{memfd.Memfd, ordinary(0), dev.Memfd, 4096}}
	for _, h := range dev.Hugetlb {
		shift := bits.TrailingZeros64(h.PageSize)
		files = append(files, file{memfd.HugetlbMemfd, ordinary(sys.MfdHugetlb | shift<<sys.MfdHugeShift), h.Device, h.PageSize})
	}
	if dev.Secret != (memfd.Device{}) {
		files = append(files, file{memfd.Secret, newSecret, dev.Secret, 4096})
	}
	for _, file := range files {
		t.Run(file.kind.String()+" "+file.dev.String(), func(t *testing.T) {
			f := file.make(t)
			if err := f.Truncate(int64(file.size)); err != nil {
				t.Fatal(err)
			}
			// Nothing is touched, so no page is taken.
			b, err := sys.Mmap(int(file.size), sys.ProtRead, sys.MapShared|sys.MapNoreserve, int(f.Fd()), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Munmap(b)
			st, err := sys.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			link, err := sys.LinkText(f)
			if err != nil {
				t.Fatal(err)
			}
			if got := dev.Classify(sys.Major(st.Dev), sys.Minor(st.Dev), link); got != file.kind {
				t.Errorf("the descriptor is %v, want %v", got, file.kind)
			}
			for _, m := range maps(t, os.Getpid()) {
				if m.start != sys.Addr(b) {
					continue
				}
				if (memfd.Device{Major: m.major, Minor: m.minor}) != file.dev || m.inode != st.Ino || m.path != link {
					t.Errorf("mapped as %+v, but open as %v, inode %d, %q", m, file.dev, st.Ino, link)
				}
				return
			}
			t.Error("the mapping is not in the list")
		})
	}
}

func newSecret(t *testing.T) *os.File {
	t.Helper()
	f, err := sys.MemfdSecret()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A deleted file of a tmpfs, which nobody's paths lead to, has the same path as a memfd,
// both as a descriptor and mapped. It is none.
func TestFakesAreNotClassified(t *testing.T) {
	dev := learn(t)
	a := startApart(t, inOwnMounts(command("fakes", t.TempDir())))
	fakes := hear[[]made](t, a)
	p := pin(t, a.Process.Pid)
	for _, fake := range fakes {
		want := "/" + string(fake.Name) + " (deleted)"
		link, err := p.Readlink("fd/" + strconv.Itoa(fake.FD))
		if err != nil || link != want {
			t.Fatalf("the fake is called %q, %v; want %q: this test would prove nothing", link, err, want)
		}
		st, err := p.Stat("fd/" + strconv.Itoa(fake.FD))
		if err != nil {
			t.Fatal(err)
		}
		if got := dev.Classify(sys.Major(st.Dev), sys.Minor(st.Dev), link); got != memfd.None {
			t.Errorf("descriptor of %q is classified as %v", link, got)
		}
		seen := false
		for _, m := range maps(t, a.Process.Pid) {
			if m.start == fake.Start {
				seen = m.path == want
				if got := dev.Classify(m.major, m.minor, m.path); got != memfd.None {
					t.Errorf("mapping of %q is classified as %v", m.path, got)
				}
			}
		}
		if !seen {
			t.Errorf("mapping of %q not found under that path", link)
		}
	}
	for _, d := range holders(t, p, dev) {
		t.Errorf("Holders reports %+v", d)
	}
}

// What else lies on the memfds' device is told apart.
func TestOtherKindsOnTheDevice(t *testing.T) {
	dev := learn(t)
	a, _ := act[made](t, "others")
	count := make(map[memfd.Kind]int)
	for _, m := range maps(t, a.Process.Pid) {
		if kind := dev.Classify(m.major, m.minor, m.path); kind != memfd.None {
			count[kind]++
		}
	}
	want := map[memfd.Kind]int{memfd.SharedAnon: 1, memfd.SysV: 1, memfd.Memfd: 1}
	if fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("mappings by kind: %v, want %v", count, want)
	}
	if found := holders(t, pin(t, a.Process.Pid), dev); len(found) != 0 {
		t.Errorf("it holds nothing open, but Holders reports %+v", found)
	}
}

func TestClassify(t *testing.T) {
	dev := memfd.Devices{Memfd: memfd.Device{Minor: 1}, Secret: memfd.Device{Minor: 14},
		Hugetlb: []memfd.HugetlbDevice{{Device: memfd.Device{Minor: 17}, PageSize: 2 << 20}}}
	for _, c := range []struct {
		minor uint32
		path  string
		want  memfd.Kind
	}{
		{1, "/memfd:", memfd.Memfd},
		{1, "/memfd:x (deleted)", memfd.Memfd},
		{17, "/memfd:x (deleted)", memfd.HugetlbMemfd},
		{14, "/memfd:x (deleted)", memfd.None},
		{2, "/memfd:x (deleted)", memfd.None},
		{0, "/memfd:x (deleted)", memfd.None},
		{1, "memfd:x", memfd.None},
		{1, "/x/memfd:x (deleted)", memfd.None},
		{14, "/secretmem (deleted)", memfd.Secret},
		{14, "/secretmem", memfd.Secret},
		{14, "/secretmem2", memfd.None},
		{1, "/secretmem (deleted)", memfd.None},
		{1, "/dev/zero (deleted)", memfd.SharedAnon},
		{2, "/dev/zero (deleted)", memfd.None},
		{1, "/SYSV00000000 (deleted)", memfd.SysV},
		{17, "/SYSV00000000 (deleted)", memfd.SysV},
		{17, "/anon_hugepage (deleted)", memfd.HugetlbAnon},
		{1, "", memfd.None},
		{0, "", memfd.None},
	} {
		if got := dev.Classify(0, c.minor, c.path); got != c.want {
			t.Errorf("Classify(0, %d, %q) = %v, want %v", c.minor, c.path, got, c.want)
		}
		if got := dev.Classify(1, c.minor, c.path); got != memfd.None {
			t.Errorf("Classify(1, %d, %q) = %v, want none", c.minor, c.path, got)
		}
	}
	var nothing memfd.Devices
	if got := nothing.Classify(0, 0, "/memfd:x (deleted)"); got != memfd.None {
		t.Errorf("no device is known, but 0:0 is classified as %v", got)
	}
}

// A file that is called as a kind which could not be learned, on a device that is none of
// those that were, may be one. Where everything was learned it is a fake.
func TestDoubtful(t *testing.T) {
	refused, size := errors.New("refused"), errors.New("1 GiB")
	all := memfd.Devices{Memfd: memfd.Device{Minor: 1}, Secret: memfd.Device{Minor: 14}}
	noSecret, noHuge := all, all
	noSecret.Secret, noSecret.Gaps = memfd.Device{}, []memfd.Gap{{Kind: memfd.Secret, Err: refused}}
	noHuge.Gaps = []memfd.Gap{{Kind: memfd.HugetlbMemfd, Err: refused}, {Kind: memfd.HugetlbMemfd, Err: size}}
	for _, c := range []struct {
		dev   *memfd.Devices
		minor uint32
		path  string
		want  bool
	}{
		{&noSecret, 14, "/secretmem", true},
		{&noSecret, 14, "/secretmem (deleted)", true},
		{&noSecret, 14, "/secretmem2", false},
		{&noSecret, 14, "/x/secretmem", false},
		{&noSecret, 1, "/secretmem (deleted)", false},
		{&noSecret, 0, "/secretmem (deleted)", false},
		{&noSecret, 14, "/memfd:x (deleted)", false},
		{&noHuge, 17, "/memfd:x (deleted)", true},
		{&noHuge, 1, "/memfd:x (deleted)", false},
		{&noHuge, 17, "/secretmem (deleted)", false},
		{&all, 17, "/memfd:x (deleted)", false},
		{&all, 17, "/secretmem (deleted)", false},
	} {
		if got := c.dev.Doubtful(0, c.minor, c.path); got != c.want {
			t.Errorf("gaps %v: Doubtful(0, %d, %q) = %v", c.dev.Gaps, c.minor, c.path, got)
		}
	}
	if err := noSecret.Gap(memfd.Secret); !errors.Is(err, refused) {
		t.Errorf("secret memory: %v", err)
	}
	for _, kind := range []memfd.Kind{memfd.HugetlbMemfd, memfd.HugetlbAnon, memfd.SysV} {
		if err := noHuge.Gap(kind); !errors.Is(err, refused) || !errors.Is(err, size) {
			t.Errorf("%v: %v", kind, err)
		}
		if err := noSecret.Gap(kind); err != nil {
			t.Errorf("%v without a gap: %v", kind, err)
		}
	}
	if err := noHuge.Gap(memfd.Memfd); err != nil {
		t.Errorf("memfds: %v", err)
	}
}

// With a gap, Holders does not pass over in silence what may be of that kind, and still
// reports all else.
func TestHoldersDoubt(t *testing.T) {
	dev := learn(t)
	if dev.Secret == (memfd.Device{}) {
		t.Skip("this kernel has no secret memory")
	}
	a, made := act[[]made](t, "hold")
	p := pin(t, a.Process.Pid)
	dev.Secret, dev.Gaps = memfd.Device{}, []memfd.Gap{{Kind: memfd.Secret, Err: errors.New("refused")}}
	n := 0
	err := memfd.Holders(p, dev, func(memfd.Descriptor) error { n++; return nil })
	if !errors.Is(err, memfd.ErrDoubtful) || !strings.Contains(err.Error(), "/fd/") {
		t.Errorf("%v, want %v", err, memfd.ErrDoubtful)
	}
	if n != len(made)-1 {
		t.Errorf("%d reported, want all %d but the secret one", n, len(made))
	}
}

func TestSealNames(t *testing.T) {
	for seals, want := range map[memfd.Seals]string{
		0:    "none",
		0x3f: "seal shrink grow write future_write exec",
		0x20: "exec",
		0x81: "seal 0x80",
	} {
		if got := seals.String(); got != want {
			t.Errorf("seals %#x are %q, want %q", uint32(seals), got, want)
		}
	}
}

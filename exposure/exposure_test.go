package exposure

import (
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// memory makes a proc file system with the given frames: flags, and how often mapped.
func memory(t *testing.T, flags []vma.FrameFlags, counts []uint64) *vma.Frames {
	t.Helper()
	root := t.TempDir()
	var f, c []byte
	for i, flag := range flags {
		f = binary.NativeEndian.AppendUint64(f, uint64(flag))
		c = binary.NativeEndian.AppendUint64(c, counts[i])
	}
	for name, b := range map[string][]byte{"kpageflags": f, "kpagecount": c} {
		if err := os.WriteFile(filepath.Join(root, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	frames, err := vma.OpenFrames(process.At(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { frames.Close() })
	return frames
}

const (
	anon  = vma.FrameMapped | vma.FrameAnonymous | vma.FrameLRU
	slabs = vma.FrameSlab | vma.FrameAnonymous | vma.FrameKSM // as Linux 6.18 shows some
)

func TestSweep(t *testing.T) {
	//                          0      1     2     3                    4     5     6                  7     8  9     10             11
	flags := []vma.FrameFlags{slabs, anon, anon, vma.FramePageTable, anon, anon, vma.FrameReserved, anon, 0, anon, vma.FrameBuddy, anon}
	counts := []uint64{0, 1, 2, 0, 1, 1, 9, 1, 0, 1, 0, 1}
	// Own: 1 (slab before), 2 twice in one row (page table behind, mapped no more often),
	// 5 (4 is foreign), 6 is the kernel's image, 9 (kernel before), 11 is secret (beside
	// free memory and the end).
	// 40 is behind all memory, as registers of devices are.
	own := []page{{1, 0}, {2, 0}, {2, 0}, {5, 1}, {6, 1}, {9, 1}, {11, 2}, {40, 1}}
	e := &Exposure{Rows: []Row{{Name: "a"}, {Name: "b"}, {Name: "s", Secret: true}}}
	s := sweep{frames: memory(t, flags, counts), own: own, exposure: e}
	if err := s.all(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := (Neighbours{Pages: 5, Exposed: 3, Slab: 1, PageTable: 1, Foreign: 1, Kernel: 1, Secret: 1}); e.Total != want {
		t.Errorf("total %+v, want %+v", e.Total, want)
	}
	if want := (Neighbours{Pages: 2, Exposed: 2, Slab: 1, PageTable: 1}); e.Rows[0].Neighbours != want {
		t.Errorf("first row %+v, want %+v", e.Rows[0].Neighbours, want)
	}
	if e.Special != 2 || e.Memory.Frames != 12 || len(e.Memory.Cells) != 12 {
		t.Errorf("special %d, memory %+v", e.Special, e.Memory)
	}
	m := &e.Memory
	if m.Counts[vma.FrameIsSlab] != 1 || m.Counts[vma.FrameIsMapped] != 7 || m.Counts[vma.FrameIsKernel] != 1 || m.BesideSlab != 1 || m.BesidePageTable != 2 {
		t.Errorf("counts %v, beside slab %d, page table %d", m.Counts, m.BesideSlab, m.BesidePageTable)
	}
	var shades strings.Builder
	for i := range m.Cells {
		shades.WriteString(m.Cells[i].Shade().Letter())
	}
	if got := shades.String(); got != "s!!tm!rmko·o" {
		t.Errorf("picture %q", got)
	}
}

// A page that is mapped more often than the process maps it is shared; a neighbour that is
// the process's own is no exposure.
func TestSharedAndOwn(t *testing.T) {
	e := &Exposure{Rows: []Row{{}}}
	s := sweep{frames: memory(t, []vma.FrameFlags{anon, anon, anon}, []uint64{1, 2, 1}), own: []page{{0, 0}, {1, 0}, {2, 0}}, exposure: e}
	if err := s.all(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := (Neighbours{Pages: 3, Shared: 1}); e.Total != want {
		t.Errorf("%+v", e.Total)
	}
}

// A page that has another frame than before, or none, or is mapped once instead of twice,
// has moved; one that is new has not.
func TestMissing(t *testing.T) {
	before := []page{{1, 0}, {2, 0}, {2, 0}, {3, 1}, {5, 1}}
	after := []page{{1, 0}, {2, 0}, {3, 2}, {4, 1}, {5, 1}, {9, 1}}
	if n := missing(before, after); n != 2 {
		t.Errorf("%d have moved, want 2", n)
	}
	if n := missing(before, before) + missing(nil, after); n != 0 {
		t.Errorf("%d have moved", n)
	}
}

// Frames without flags are the kernel's where memory is, and holes elsewhere.
func TestHoles(t *testing.T) {
	r := parseRAM("00001000-00002fff : System RAM\n  00001000-00001fff : Kernel code\n00003000-00003fff : PCI\n00005000-00005fff : System RAM (kmem)\n")
	size := vma.PageSize / 4096
	if size != 1 {
		t.Skip("the text is for pages of 4 KiB")
	}
	var holes []uint64
	for frame := range uint64(8) {
		if r.hole(frame) {
			holes = append(holes, frame)
		}
	}
	if !slices.Equal(holes, []uint64{0, 3, 4, 6, 7}) {
		t.Errorf("holes at %v", holes)
	}
	e := &Exposure{Rows: []Row{{}}}
	s := sweep{frames: memory(t, []vma.FrameFlags{0, 0, anon, 0}, []uint64{0, 0, 1, 0}), ram: ram{{0, 1}, {2, 3}}, own: []page{{2, 0}}, exposure: e}
	if err := s.all(context.Background()); err != nil {
		t.Fatal(err)
	}
	if e.Memory.Counts[vma.FrameIsHole] != 2 || e.Memory.Counts[vma.FrameIsKernel] != 1 || e.Total.Kernel != 0 {
		t.Errorf("%v, %+v", e.Memory.Counts, e.Total)
	}
	none := parseRAM("00000000-00000000 : System RAM\n")
	if none.hole(3) {
		t.Error("a hole in memory of which nothing is known")
	}
}

func TestClass(t *testing.T) {
	for flags, want := range map[vma.FrameFlags]vma.FrameClass{slabs: vma.FrameIsSlab, anon: vma.FrameIsMapped, 0: vma.FrameIsKernel, vma.FrameNoPage: vma.FrameIsHole,
		vma.FrameLRU: vma.FrameIsCache, vma.FrameBuddy: vma.FrameIsFree, vma.FramePageTable | vma.FrameMapped: vma.FrameIsPageTable, vma.FrameReserved: vma.FrameIsReserved} {
		if got := flags.Class(); got != want {
			t.Errorf("%#x: %s, want %s", uint64(flags), got, want)
		}
	}
}

// The control of all memory fails where slabs or page tables are not seen.
func TestControlCounts(t *testing.T) {
	c := counters{slab: 80000, pageTables: 3000}
	m := &Memory{}
	m.Counts[vma.FrameIsSlab], m.Counts[vma.FrameIsPageTable] = 78000, 2900
	if text, err := controlCounts(m, c, c); err != nil || text == "" {
		t.Error(err)
	}
	for _, bad := range []func(*Memory){func(m *Memory) { m.Counts[vma.FrameIsSlab] = 0 }, func(m *Memory) { m.Counts[vma.FrameIsPageTable] = 0 },
		func(m *Memory) { m.Counts[vma.FrameIsSlab] = 200000 }, func(m *Memory) { m.Counts[vma.FrameIsPageTable] = 9000 }} {
		wrong := *m
		bad(&wrong)
		if _, err := controlCounts(&wrong, c, c); err == nil || errors.Is(err, errNoControl) {
			t.Errorf("%v: %v", wrong.Counts, err)
		}
	}
	if _, err := controlCounts(m, counters{err: errors.New("x")}, c); !errors.Is(err, errNoControl) {
		t.Error(err)
	}
	if c := parseStatistics("nr_slab_reclaimable 5\nnr_slab_unreclaimable 7\nnr_page_table_pages 3\nnr_x 9\n"); c.err != nil || c.slab != 12 || c.pageTables != 3 {
		t.Errorf("%+v", c)
	}
	if c := parseStatistics("nr_slab_reclaimable 5\n"); c.err == nil {
		t.Error("half of the counters")
	}
}

// Frames that others have got at once are no failure of the control; that all of them read as
// mapped each time is one.
func TestControlAnonymous(t *testing.T) {
	for name, test := range map[string]struct {
		left   func(try int) int
		passes bool
	}{"quiet": {func(int) int { return 0 }, true}, "busy": {func(try int) int { return pagesTried - 20*try }, true},
		"blind": {func(int) int { return pagesTried }, false}, "half blind": {func(int) int { return pagesTried/2 + 1 }, false}} {
		tries := 0
		text, err := controlAnonymous(func() (int, error) { tries++; return test.left(tries - 1), nil })
		if (err == nil) != test.passes || errors.Is(err, errNoControl) || (text != "") != test.passes {
			t.Errorf("%s: %q, %v after %d tries", name, text, err, tries)
		}
	}
	if _, err := controlAnonymous(func() (int, error) { return 0, noControl(io.EOF) }); !errors.Is(err, errNoControl) {
		t.Error(err)
	}
}

// live reads the own process; without root it skips.
func live(t *testing.T) *Exposure {
	t.Helper()
	e, err := Read(context.Background(), process.Default(), os.Getpid())
	if errors.Is(err, ErrHidden) || errors.Is(err, process.ErrGone) && os.Geteuid() != 0 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Memory of which the truth is known: own pages that were touched are counted, and pages
// of secret memory are told apart.
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("reads all page frames; make test has it")
	}
	const pages = 300
	size := pages * os.Getpagesize()
	b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous|sys.MapPopulate, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	secret := secretPages(t)
	e := live(t)
	if e.Total.Secret != secret {
		t.Errorf("%d pages of secret memory, want %d", e.Total.Secret, secret)
	}
	if e.Control.Status != guarantee.ControlPassed {
		t.Errorf("control %s: %s", e.Control.Status, e.Control.Detail)
	}
	v := e.Verdict()
	if err := v.Validate(); err != nil || v.Status != guarantee.Holds {
		t.Errorf("%s: %v", v.Status, err)
	}
	var found, inRows uint64
	for _, r := range e.Rows {
		if r.Start <= sys.Addr(b) && sys.Addr(b)+uint64(size) <= r.End {
			found = r.Neighbours.Pages
		}
		inRows += r.Neighbours.Pages
	}
	if found < pages {
		t.Errorf("of %d own pages %d were found", pages, found)
	}
	if e.Total.Pages < pages || e.Total.Pages > inRows || e.Total.Exposed > e.Total.Pages {
		t.Errorf("total %+v, in rows %d pages", e.Total, inRows)
	}
	t.Log(v.Message, e.raw())
}

// secretPages maps and touches secret memory, and returns how many pages that was: none
// where the kernel has no such thing.
func secretPages(t *testing.T) uint64 {
	f, err := sys.MemfdSecret()
	if err != nil {
		t.Log("no secret memory here:", err)
		return 0
	}
	defer f.Close()
	const pages = 2 // each page splits the kernel's map until the next boot
	size := pages * os.Getpagesize()
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		t.Log("no secret memory here:", err)
		return 0
	}
	t.Cleanup(func() { sys.Munmap(b) })
	b[0], b[os.Getpagesize()] = 1, 1
	return pages
}

// Whoever may not see frames learns that, and gets a verdict that is unknown.
func TestUnknown(t *testing.T) {
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	v, err := Unknown(p, ErrHidden)
	if err != nil || v.Status != guarantee.Unknown || v.Validate() != nil {
		t.Errorf("%+v, %v", v, err)
	}
	// A reading without a control never holds.
	e := Exposure{Process: v.Subject, Control: guarantee.Control{Status: guarantee.ControlFailed}}
	if got := e.Verdict(); got.Status != guarantee.Unknown {
		t.Error(got.Status)
	}
}

func TestSVG(t *testing.T) {
	e := &Exposure{Process: guarantee.Subject{PID: 7, Name: `a<b>&"`}, Memory: Memory{Frames: 500, PerCell: 1, Cells: make([]Cell, 500)}}
	e.Memory.Cells[130].Own, e.Memory.Cells[130].Exposed = 1, 1
	e.Memory.Cells[131].Counts[vma.FrameIsSlab] = 1
	var b strings.Builder
	if err := e.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	decoder, rects := xml.NewDecoder(strings.NewReader(b.String())), 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			rects++
		}
	}
	if want := 1 + 1 + 2 + len(Shades()); rects != want { // paper, frame, two cells, legend
		t.Errorf("%d rectangles, want %d", rects, want)
	}
	if !strings.Contains(b.String(), "1 pages from 0x82000 on, 1 exposed") || strings.Contains(b.String(), "a<b>") {
		t.Error("no tooltip, or a name that isn't escaped")
	}
	if got := len(e.Memory.Squeeze(100)); got != 100 {
		t.Errorf("%d cells", got)
	}
}

// Whatever the text, ranges of memory are not empty, and counters are known or say why not.
func FuzzParse(f *testing.F) {
	f.Add("00001000-0009fbff : System RAM\n100000000-13fffffff : System RAM (kmem)\n")
	f.Add("nr_slab_reclaimable 5\nnr_slab_unreclaimable 7\nnr_page_table_pages 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range parseRAM(text) {
			if r[0] >= r[1] {
				t.Errorf("%q: %v", text, r)
			}
		}
		r := parseRAM(text)
		for frame := range uint64(4) {
			r.hole(frame)
		}
		if c := parseStatistics(text); c.err == nil && (c.slab > 1<<50 || c.pageTables > 1<<50) {
			t.Errorf("%q: %+v", text, c)
		}
	})
}

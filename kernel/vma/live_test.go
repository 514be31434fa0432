package vma_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// The test binary is its own child, so that the tests also run where nothing else
// is installed.
func TestMain(m *testing.M) {
	if offender.Asked() {
		os.Exit(offender.Main(os.Args[1:]))
	}
	switch os.Getenv("SAFEVMA_VMA_CHILD") {
	case "wait": // says that it runs, then executes itself for each line that it reads
		fmt.Println("ready")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			os.Exit(0)
		}
		err := syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "headless": // its first thread ends, the others go on
		runtime.LockOSThread()
		go func() {
			fmt.Println("ready")
			bufio.NewReader(os.Stdin).ReadString('\n')
			os.Exit(0)
		}()
		syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	case "restless": // changes its address space until its input ends
		go func() {
			bufio.NewReader(os.Stdin).ReadString('\n')
			os.Exit(0)
		}()
		restless()
	}
	os.Exit(m.Run())
}

// restless maps, protects and unmaps, with pauses in which a reader can see the same
// address space twice: the reader is slow under the race detector. No state ever comes back: a reader that sees the same list
// twice knows that it did not change meanwhile.
func restless() {
	mark := must(sys.Mmap(1<<36, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous|sys.MapNoreserve, -1, 0))
	step := 0
	next := func() { // moves the border in the mark by a page
		step++
		check(sys.Mprotect(mark[:step<<12], sys.ProtRead))
	}
	fmt.Println("ready")
	for round := 0; ; round++ {
		var held [8][]byte
		for i := range held {
			held[i] = must(sys.Mmap(16<<12, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0))
			for k := 0; k < 16; k += 2 {
				check(sys.Mprotect(held[i][k<<12:(k+1)<<12], sys.ProtRead))
			}
		}
		next()
		pause := syscall.Timespec{Nsec: 1e6 << (round % 7)} // 1 to 64 ms: long enough for any reader
		syscall.Nanosleep(&pause, nil)
		next()
		for _, b := range held {
			check(sys.Munmap(b))
		}
		next()
	}
}

func must(b []byte, err error) []byte {
	check(err)
	return b
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

type child struct {
	*process.Process
	cmd *exec.Cmd
	in  interface{ Write([]byte) (int, error) }
	out *bufio.Reader
}

func start(t testing.TB, mode string) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SAFEVMA_VMA_CHILD="+mode)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := &child{cmd: cmd, in: in, out: bufio.NewReader(out)}
	c.ready(t)
	if c.Process, err = process.Default().Open(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Close() })
	return c
}

func (c *child) ready(t testing.TB) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
}

func self(t testing.TB) *process.Process {
	t.Helper()
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func all(read func(*process.Process, func(*vma.VMA) error) error, p *process.Process) ([]vma.VMA, error) {
	var vmas []vma.VMA
	err := read(p, func(v *vma.VMA) error {
		vmas = append(vmas, v.Clone())
		return nil
	})
	return vmas, err
}

// same compares what all sources have in common.
func same(a, b vma.VMA) bool {
	return a.Start == b.Start && a.End == b.End && a.Perm == b.Perm && a.Offset == b.Offset &&
		a.Dev == b.Dev && a.Inode == b.Inode && bytes.Equal(a.Name, b.Name)
}

// The kernel lists [vsyscall] behind every process in text, but not by PROCMAP_QUERY.
func withoutVsyscall(vmas []vma.VMA) []vma.VMA {
	return slices.DeleteFunc(vmas, func(v vma.VMA) bool { return string(v.Name) == "[vsyscall]" })
}

// On a process that changes all the time, maps, smaps and PROCMAP_QUERY say the same
// whenever the list before and the list after were the same.
func TestSourcesAgree(t *testing.T) {
	c := start(t, "restless")
	var r vma.Reader
	query := func(p *process.Process, fn func(*vma.VMA) error) error { return r.Query(p, vma.Filter{}, fn) }
	agreed, tries := 0, 0
	for ; (agreed < 20 || tries == agreed) && tries < 20000; tries++ {
		before, err := all(r.Maps, c.Process)
		if err != nil {
			t.Fatal(err)
		}
		smaps, err := all(r.Smaps, c.Process)
		if err != nil {
			t.Fatal(err)
		}
		queried, queryErr := all(query, c.Process)
		after, err := all(r.Maps, c.Process)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(before, after, same) {
			continue // it changed while it was read
		}
		agreed++
		if !slices.EqualFunc(before, smaps, same) {
			t.Fatalf("smaps differs from maps:\n%s\n%s", lines(before), lines(smaps))
		}
		if errors.Is(queryErr, vma.ErrUnsupported) {
			continue
		}
		if queryErr != nil {
			t.Fatal(queryErr)
		}
		if !slices.EqualFunc(withoutVsyscall(before), queried, same) {
			t.Fatalf("PROCMAP_QUERY differs from maps:\n%s\n%s", lines(before), lines(queried))
		}
	}
	if agreed < 20 {
		t.Fatalf("only %d quiet moments in %d tries: nothing was compared", agreed, tries)
	}
	if tries == agreed {
		t.Error("the process never changed while it was read: it does not show anything")
	}
	t.Logf("%d comparisons, %d times it changed meanwhile", agreed, tries-agreed)
}

func lines(vmas []vma.VMA) (s string) {
	for _, v := range vmas {
		s += fmt.Sprintf("%x-%x %s %x %s %d %q\n", v.Start, v.End, v.Perm, v.Offset, v.Dev, v.Inode, v.Name)
	}
	return s
}

// A process that ends, or becomes another program, while it is read must be said to.
// The kernel itself merely ends the list.
func TestGoneHalfWay(t *testing.T) {
	tests := map[string]func(*child){
		"ends":                     func(c *child) { c.cmd.Process.Kill(); c.cmd.Wait() },
		"ends and is not reaped":   func(c *child) { killAndLeaveZombie(t, c) },
		"executes another program": func(c *child) { c.in.Write([]byte("\n")); c.ready(t) },
	}
	for name, change := range tests {
		for file, read := range map[string]func(*vma.Reader, *process.Process, func(*vma.VMA) error) error{
			"maps": (*vma.Reader).Maps, "smaps": (*vma.Reader).Smaps,
		} {
			t.Run(name+" "+file, func(t *testing.T) {
				c := start(t, "wait")
				var r vma.Reader
				n := 0
				err := read(&r, c.Process, func(*vma.VMA) error {
					if n++; n == 1 {
						change(c)
					}
					return nil
				})
				if !errors.Is(err, process.ErrGone) {
					t.Errorf("after %d VMAs: error %v, want ErrGone", n, err)
				}
			})
		}
	}
}

func killAndLeaveZombie(t *testing.T, c *child) {
	c.cmd.Process.Kill()
	for {
		info, err := c.Process.Info()
		if err != nil {
			t.Error(err)
			return
		}
		if threads, err := c.Process.List("task"); err != nil || info.Zombie() && len(threads) == 1 {
			return // the last thread takes the address space with it
		}
	}
}

// A process whose first thread has ended looks like a zombie without memory; its
// other threads still have all of it.
func TestFirstThreadEnded(t *testing.T) {
	c := start(t, "headless")
	for {
		if info, err := c.Process.Info(); err != nil {
			t.Fatal(err)
		} else if info.Zombie() {
			break
		}
	}
	var r vma.Reader
	for name, read := range map[string]func(*process.Process, func(*vma.VMA) error) error{"maps": r.Maps, "smaps": r.Smaps} {
		vmas, err := all(read, c.Process)
		if err != nil || len(vmas) < 10 {
			t.Errorf("%s: %d VMAs, %v", name, len(vmas), err)
		}
	}
	if sum, err := r.Rollup(c.Process); err != nil || sum.Rss == 0 {
		t.Errorf("rollup: %+v, %v", sum, err)
	}
	present := 0
	vmas, err := all(r.Maps, c.Process)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Pages(c.Process, vmas[0].Start, vmas[0].End, func(_ uint64, page vma.Page) error {
		if page.Present() {
			present++
		}
		return nil
	}); err != nil || present == 0 {
		t.Errorf("pagemap: %d pages present, %v", present, err)
	}
	if err := r.Query(c.Process, vma.Filter{}, func(*vma.VMA) error { return nil }); err != nil && !errors.Is(err, vma.ErrUnsupported) {
		t.Errorf("PROCMAP_QUERY: %v", err)
	}
}

// A kernel thread is not a process with an empty address space.
func TestNoAddressSpace(t *testing.T) {
	p, err := process.Default().Open(2)
	if err != nil {
		t.Skip("process 2 is not visible here:", err)
	}
	defer p.Close()
	if info, err := p.Info(); err != nil || !info.KernelThread {
		t.Skip("process 2 is not a kernel thread here:", err)
	}
	var r vma.Reader
	err = r.Maps(p, func(*vma.VMA) error { return nil })
	if errors.Is(err, process.ErrDenied) {
		t.Skip(err)
	}
	if !errors.Is(err, vma.ErrNoAddressSpace) {
		t.Errorf("error %v, want ErrNoAddressSpace", err)
	}
}

// Every name comes back byte by byte, from each source.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	var r vma.Reader
	for _, name := range []string{
		"with space", " leading and trailing ", "new\nline", `back\slash`, `not a \012 newline`, "both \\012 and \n",
		"bytes \xff\xfe", "escape \x1b[31m", "x (deleted)", "tab\tand\rreturn", "[heap]",
	} {
		path := filepath.Join(dir, name)
		mapping := mapFile(t, path)
		query := func(p *process.Process, fn func(*vma.VMA) error) error {
			return r.Query(p, vma.Filter{FileBacked: true}, fn)
		}
		for source, read := range map[string]func(*process.Process, func(*vma.VMA) error) error{"maps": r.Maps, "smaps": r.Smaps, "query": query} {
			got, err := nameAt(read, self(t), sys.Addr(mapping))
			if errors.Is(err, vma.ErrUnsupported) {
				continue
			}
			if err != nil || got != path {
				t.Errorf("%s: %q, %v; want %q", source, got, err, path)
			}
		}
	}
}

func mapFile(t *testing.T, path string) []byte {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := sys.Mmap(4096, sys.ProtRead, sys.MapPrivate, int(f.Fd()), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Munmap(b) })
	return b
}

func nameAt(read func(*process.Process, func(*vma.VMA) error) error, p *process.Process, addr uint64) (name string, err error) {
	err = read(p, func(v *vma.VMA) error {
		if v.Start <= addr && addr < v.End {
			name = string(v.Name)
		}
		return nil
	})
	return name, err
}

// The flags and amounts of smaps follow what is done to a mapping.
func TestSmapsFollows(t *testing.T) {
	const pages = 8
	b, err := sys.Mmap(pages<<12, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	// A neighbour with other flags keeps the kernel from merging it with others.
	if err := sys.Madvise(b, sys.MadvDontfork); err != nil {
		t.Fatal(err)
	}
	var r vma.Reader
	look := func() (found vma.VMA) {
		t.Helper()
		if err := r.Smaps(self(t), func(v *vma.VMA) error {
			if v.Start == sys.Addr(b) {
				found = v.Clone()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if v := look(); v.Size() != pages<<12 || v.Mem.Rss != 0 || !v.Flags.Has(vma.FlagDontCopy) || v.Flags.Has(vma.FlagLocked) {
		t.Fatalf("fresh: %+v", v)
	}
	b[0], b[4096] = 1, 1
	if v := look(); v.Mem.Rss < 2<<12 || v.Mem.Anonymous < 2<<12 {
		t.Errorf("two pages touched: %+v", v.Mem)
	}
	if err := sys.Mlock(b); err != nil {
		t.Skip("no right to lock memory:", err)
	}
	if v := look(); !v.Flags.Has(vma.FlagLocked) || v.Mem.Locked != v.Size() {
		t.Errorf("locked: %s %+v", v.Flags, v.Mem)
	}
	if err := sys.Mprotect(b, sys.ProtRead); err != nil {
		t.Fatal(err)
	}
	if v := look(); v.Perm != vma.PermRead || v.Flags.Has(vma.FlagWrite) {
		t.Errorf("read-only: %s %s", v.Perm, v.Flags)
	}
}

// The kernel applies the filter: what it returns is what a reader of the whole list
// would have picked.
func TestQueryFilter(t *testing.T) {
	c := start(t, "wait")
	var r vma.Reader
	for _, f := range []vma.Filter{{Perm: vma.PermExec}, {Perm: vma.PermRead | vma.PermWrite}, {FileBacked: true}, {Perm: vma.PermExec, FileBacked: true}} {
		var every, got []vma.VMA
		for settled := false; !settled; { // the runtime of the child may still map memory
			var err, queryErr error
			every, err = all(r.Maps, c.Process)
			got, queryErr = all(func(p *process.Process, fn func(*vma.VMA) error) error { return r.Query(p, f, fn) }, c.Process)
			after, afterErr := all(r.Maps, c.Process)
			if errors.Is(queryErr, vma.ErrUnsupported) {
				t.Skip(queryErr)
			}
			if err := errors.Join(err, queryErr, afterErr); err != nil {
				t.Fatal(err)
			}
			settled = slices.EqualFunc(every, after, same)
		}
		want := slices.DeleteFunc(withoutVsyscall(slices.Clone(every)), func(v vma.VMA) bool {
			return !v.Perm.Has(f.Perm) || f.FileBacked && v.Inode == 0
		})
		if len(want) == 0 || !slices.EqualFunc(got, want, same) {
			t.Errorf("%+v:\n%swant\n%s", f, lines(got), lines(want))
		}
	}
}

// Pagemap, PAGEMAP_SCAN and smaps tell the same story of the same pages.
func TestPagesAgree(t *testing.T) {
	const pages = 1030 // more than one read
	b, err := sys.Mmap(pages<<12, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	if err := sys.Madvise(b, sys.MadvNohugepage); err != nil {
		t.Log("huge pages can't be refused:", err)
	}
	touched := map[uint64]bool{}
	for i := 0; i < pages; i += 3 {
		b[i<<12] = 1
		touched[sys.Addr(b)+uint64(i)<<12] = true
	}
	var r vma.Reader
	p := self(t)
	start, end := sys.Addr(b), sys.Addr(b)+uint64(len(b))
	present := map[uint64]bool{}
	if err := r.Pages(p, start, end, func(addr uint64, page vma.Page) error {
		if page.Present() {
			present[addr] = true
			if page.File() || page.Swapped() || !page.Exclusive() {
				t.Errorf("%x: %x", addr, page)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(present) != len(touched) {
		t.Errorf("%d pages present, %d touched", len(present), len(touched))
	}
	scanned := 0
	err = r.Scan(p, start, end, vma.Present, func(run vma.Run) error {
		for addr := run.Start; addr < run.End; addr += vma.PageSize {
			if scanned++; !present[addr] {
				t.Errorf("PAGEMAP_SCAN has %x, pagemap has not", addr)
			}
		}
		return nil
	})
	if errors.Is(err, vma.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || scanned != len(present) {
		t.Errorf("PAGEMAP_SCAN: %d pages, %v; pagemap %d", scanned, err, len(present))
	}
}

// The frames of own pages are mapped as often as the pages are.
func TestFrames(t *testing.T) {
	frames, err := vma.OpenFrames(process.Default())
	if err != nil {
		t.Skip("page frames are for root:", err)
	}
	defer frames.Close()
	f, err := sys.MemfdCreate("frames", sys.MfdNoexecSeal)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	var r vma.Reader
	var mappings int
	for mappings = 1; mappings <= 3; mappings++ {
		b, err := sys.Mmap(4096, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Munmap(b)
		b[0] = 1
		if err := r.Pages(self(t), sys.Addr(b), sys.Addr(b)+4096, func(_ uint64, page vma.Page) error {
			if page.Frame() == 0 {
				t.Skip("frame numbers are hidden from this reader")
			}
			n, err := frames.Mapped(page.Frame())
			if err != nil || n != uint64(mappings) {
				t.Errorf("mapped %d times, %v; want %d", n, err, mappings)
			}
			if page.Exclusive() != (mappings == 1) {
				t.Errorf("%d mappings: exclusive %v", mappings, page.Exclusive())
			}
			flags, err := frames.Flags(page.Frame())
			if err != nil || !flags.Has(vma.FrameMapped) || flags.Has(vma.FrameAnonymous) {
				t.Errorf("flags %x, %v", flags, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// The sum that the kernel makes is the sum of what it lists.
func TestRollup(t *testing.T) {
	c := start(t, "wait")
	var r vma.Reader
	var sum vma.Mem
	if err := r.Smaps(c.Process, func(v *vma.VMA) error {
		sum.Rss += v.Mem.Rss
		sum.Anonymous += v.Mem.Anonymous
		sum.PrivateDirty += v.Mem.PrivateDirty
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Rollup(c.Process)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rss < sum.Rss*9/10 || got.Rss > sum.Rss*11/10 || got.Anonymous == 0 || sum.Rss == 0 {
		t.Errorf("rollup %+v, sum %+v", got, sum)
	}
}

// Reading allocates nothing a VMA.
func TestAllocations(t *testing.T) {
	p := self(t)
	var r vma.Reader
	count := func(read func(*process.Process, func(*vma.VMA) error) error) float64 {
		n := 0
		fn := func(*vma.VMA) error { n++; return nil }
		allocs := testing.AllocsPerRun(10, func() {
			if err := read(p, fn); err != nil {
				t.Fatal(err)
			}
		})
		if n == 0 {
			t.Fatal("no VMAs")
		}
		return allocs
	}
	const aScan = 20 // opening the file, the closures: the same for any number of VMAs
	for name, read := range map[string]func(*process.Process, func(*vma.VMA) error) error{"maps": r.Maps, "smaps": r.Smaps} {
		if n := count(read); n > aScan {
			t.Errorf("%s: %v allocations a scan", name, n)
		}
	}
}

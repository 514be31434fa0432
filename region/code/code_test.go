package code

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/code/internal/call"
)

// adder returns machine code for a function that adds k, below 4096, to its argument.
func adder(t testing.TB, k int) []byte {
	switch runtime.GOARCH {
	case "amd64": // lea rax, [rdi+k]; ret
		return append(binary.LittleEndian.AppendUint32([]byte{0x48, 0x8d, 0x87}, uint32(k)), 0xc3)
	case "arm64": // add x0, x0, #k; ret
		add := binary.LittleEndian.AppendUint32(nil, 0x91000000|uint32(k)<<10)
		return binary.LittleEndian.AppendUint32(add, 0xd65f03c0)
	}
	t.Skip("no machine code for this architecture here")
	return nil
}

func newArena(t testing.TB, size int) *Arena {
	t.Helper()
	a, err := New(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil && !errors.Is(err, ErrSealed) && !errors.Is(err, region.ErrClosed) {
			t.Error(err)
		}
	})
	return a
}

func add(t testing.TB, a *Arena, machine []byte) *Program {
	t.Helper()
	p, err := a.Add(len(machine), func(to []byte, entry uintptr) error {
		if entry%chunkSize != 0 || cap(to) != len(machine) {
			t.Errorf("entry %#x, room for %d", entry, cap(to))
		}
		copy(to, machine)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func publish(t testing.TB, a *Arena) {
	t.Helper()
	if err := a.Publish(); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
}

func runs(t testing.TB, p *Program, k int) {
	t.Helper()
	if got := call.Call(p.Entry(), 1000); got != uint64(1000+k) {
		t.Fatalf("1000 + %d is %d", k, got)
	}
}

// What is added executes after Publish, also after others were published, and after Seal.
func TestExecute(t *testing.T) {
	a := newArena(t, 1<<16)
	var all []*Program
	for k := range 300 {
		all = append(all, add(t, a, adder(t, k)))
		if k%50 == 49 {
			publish(t, a)
			for k, p := range all {
				runs(t, p, k)
			}
		}
	}
	t.Run("sealed", func(t *testing.T) {
		sealed(t, a)
		for k, p := range all {
			runs(t, p, k)
		}
	})
}

// sealed seals the arena, or skips the rest where the kernel can't.
func sealed(t testing.TB, a *Arena) {
	t.Helper()
	err := a.Seal()
	if errors.Is(err, region.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Threads execute while more is published, and see nothing of it.
func TestExecuteBeside(t *testing.T) {
	a := newArena(t, 1<<16)
	p := add(t, a, adder(t, 7))
	publish(t, a)
	stop := atomic.Bool{}
	var threads sync.WaitGroup
	for range 3 {
		threads.Go(func() {
			for !stop.Load() {
				for range 1000 {
					if got := call.Call(p.Entry(), 1); got != 8 {
						t.Errorf("1 + 7 is %d", got)
						return
					}
				}
			}
		})
	}
	machine := adder(t, 1)
	for range 200 {
		other := add(t, a, machine)
		publish(t, a)
		runs(t, other, 1)
		if err := other.Free(); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	threads.Wait()
}

func TestFull(t *testing.T) {
	page := os.Getpagesize()
	a := newArena(t, page)
	machine := adder(t, 1)
	var all []*Program
	for range page / chunkSize {
		all = append(all, add(t, a, machine))
	}
	nothing := func([]byte, uintptr) error { t.Error("called for nothing"); return nil }
	_, err := a.Add(1, nothing)
	want(t, err, ErrFull)
	for _, n := range []int{0, -1} {
		_, err = a.Add(n, nothing)
		want(t, err, region.ErrSize)
	}
	if err := errors.Join(all[3].Free(), all[4].Free(), all[6].Free()); err != nil {
		t.Fatal(err)
	}
	want(t, all[3].Free(), ErrFreed)
	if _, err = a.Add(2*chunkSize+1, nothing); !errors.Is(err, ErrFull) {
		t.Error("three chunks in a hole of two")
	}
	two := add(t, a, append(machine, make([]byte, chunkSize)...))
	if two.Entry() != all[3].Entry() || two.Len() != len(machine)+chunkSize {
		t.Error("the hole was not used")
	}
	publish(t, a)
	runs(t, two, 1)
	if s := a.Stats(); s != (Stats{Size: page, Used: page - chunkSize, Published: page}) {
		t.Errorf("%+v", s)
	}
}

// What no program has traps, and so does what was freed, from the next publication on.
func TestTraps(t *testing.T) {
	a := newArena(t, os.Getpagesize())
	machine := adder(t, 5)
	kept, freed := add(t, a, machine), add(t, a, machine)
	publish(t, a)
	if !bytes.Equal(a.place[chunkSize:][:len(machine)], machine) {
		t.Fatal("the program is not where it should be")
	}
	if err := freed.Free(); err != nil {
		t.Fatal(err)
	}
	publish(t, a)
	runs(t, kept, 5)
	traps := make([]byte, len(a.place))
	fillTraps(traps)
	copy(traps, machine)
	if !bytes.Equal(a.place, traps) {
		t.Error("what no program has does not trap")
	}
}

// A function that fails or panics adds nothing.
func TestFailedWrite(t *testing.T) {
	a := newArena(t, os.Getpagesize())
	mine := errors.New("mine")
	_, err := a.Add(10, func(to []byte, _ uintptr) error { to[0] = 1; return mine })
	if err != mine {
		t.Error(err)
	}
	func() {
		defer func() { recover() }()
		a.Add(10, func(to []byte, _ uintptr) error { to[1] = 1; panic(mine) })
	}()
	traps := make([]byte, len(a.image))
	fillTraps(traps)
	if !bytes.Equal(a.image, traps) || a.Stats().Used != 0 {
		t.Error("something was added")
	}
	publish(t, a)
	if a.Stats().Published != 0 {
		t.Error("nothing was published")
	}
}

func TestEnds(t *testing.T) {
	nothing := func([]byte, uintptr) error { return nil }
	b := newArena(t, 1)
	p := add(t, b, adder(t, 1))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Add(1, nothing)
	for _, err := range []error{err, b.Publish(), b.Seal(), b.Close(), p.Free()} {
		want(t, err, region.ErrClosed)
	}
	for _, n := range []int{0, -1, maxSize + 1} {
		_, err := New(n)
		want(t, err, region.ErrSize)
	}
	a := newArena(t, 1)
	p = add(t, a, adder(t, 1))
	sealed(t, a)
	if !a.Sealed() {
		t.Error("not sealed")
	}
	_, err = a.Add(1, nothing)
	for _, err := range []error{err, a.Publish(), a.Seal(), a.Close(), p.Free()} {
		want(t, err, ErrSealed)
	}
}

// The kernel's view: nothing of the arena is, or can become, writable; no inode that executes is
// writable anywhere; no descriptor is left.
func TestKernelView(t *testing.T) {
	a := newArena(t, 1<<16)
	add(t, a, adder(t, 1))
	publish(t, a)
	found := 0
	for _, v := range smaps(t) {
		if v.End <= a.entry || v.Start >= a.entry+uint64(len(a.place)) {
			if strings.Contains(string(v.Name), "safevma-code") && v.Perm.Has(vma.PermWrite) {
				t.Errorf("another mapping can be written: %s", v.Name)
			}
			continue
		}
		if v.Perm.Has(vma.PermExec) {
			found++
		}
		if v.Perm.Has(vma.PermWrite) || v.Perm.Has(vma.PermExec) && v.Flags.Has(vma.FlagMayWrite) {
			t.Errorf("%v %v", v.Perm, v.Flags)
		}
	}
	if found != 1 {
		t.Errorf("%d executable mappings, want 1", found)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "safevma-code") {
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
}

func smaps(t *testing.T) (all []vma.VMA) {
	t.Helper()
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var r vma.Reader
	if err := r.Smaps(p, func(v *vma.VMA) error {
		all = append(all, v.Clone())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// A program a page, and packed: how many bytes a program takes.
func BenchmarkPacking(b *testing.B) {
	const n, size = 1000, 150 // bytes, as of a small filter
	machine := append(adder(b, 1), make([]byte, size-len(adder(b, 1)))...)
	for b.Loop() {
		a := newArena(b, 1<<20)
		for range n {
			add(b, a, machine)
		}
		publish(b, a)
		b.ReportMetric(float64(a.Stats().Published)/n, "bytes/program")
		b.ReportMetric(float64(os.Getpagesize()), "bytes/program-alone")
	}
}

// A publication writes all pages of the arena that have programs.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{4, 64, 1024} {
		b.Run(fmt.Sprint(size, "KiB"), func(b *testing.B) {
			a := newArena(b, size<<10)
			machine := adder(b, 1)
			for a.Stats().Used < size<<10-chunkSize {
				add(b, a, machine)
			}
			for b.Loop() {
				p := add(b, a, machine)
				publish(b, a)
				if err := p.Free(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package region

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// A mutant is a region that lacks one thing of what it claims.
type mutant struct {
	name    string
	size    int
	options []Option
	// damage takes it away, and returns what undoes the damage so far that Close works.
	damage func(t *testing.T, r *Region) (undo func())
	broken string // the rule that must find it, and no other
}

func table(b []byte) error { copy(b, "table"); return nil }

// last returns the last page.
func (r *Region) last() []byte { return r.pages[len(r.pages)-pageSize:] }

func must(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, syscall.ENOSYS) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// advised gives advice on a part of the region.
func advised(part func(*Region) []byte, advice int) func(*testing.T, *Region) func() {
	return func(t *testing.T, r *Region) func() { must(t, sys.Madvise(part(r), advice)); return nil }
}

func protected(part func(*Region) []byte, prot int) func(*testing.T, *Region) func() {
	return func(t *testing.T, r *Region) func() { must(t, sys.Mprotect(part(r), prot)); return nil }
}

// opened opens a part of a Windowed region, whatever closes it.
func opened(part func(*Region) []byte, prot int) func(*testing.T, *Region) func() {
	return func(t *testing.T, r *Region) func() {
		if r.key != noKey {
			must(t, sys.PkeyMprotect(part(r), prot, 0))
			return nil
		}
		return protected(part, prot)(t, r)
	}
}

// flagsAt returns the VmFlags of memory.
func flagsAt(t *testing.T, b []byte) vma.Flags {
	t.Helper()
	p, err := process.Default().Open(os.Getpid())
	must(t, err)
	defer p.Close()
	space, err := view.Read(p)
	must(t, err)
	return space.At(sys.Addr(b)).Flags
}

func all(r *Region) []byte       { return r.pages }
func first(r *Region) []byte     { return r.pages[:pageSize] }
func lastPage(r *Region) []byte  { return r.last() }
func lowGuard(r *Region) []byte  { return r.whole[:pageSize] }
func highGuard(r *Region) []byte { return r.whole[len(r.whole)-pageSize:] }
func withGuard(r *Region) []byte { return r.whole[:2*pageSize] }

// claims makes the region claim more than it was made with.
func claims(more set) func(*testing.T, *Region) func() {
	return func(_ *testing.T, r *Region) func() {
		had := r.has
		r.has |= more
		return func() { r.has = had }
	}
}

// secretFile puts other secret memory in the region's place, of which it has the descriptor, open
// until the test ends.
func secretFile(t *testing.T, r *Region) (file *os.File) {
	t.Helper()
	file, err := sys.MemfdSecret()
	must(t, err)
	must(t, file.Truncate(int64(len(r.pages))))
	must(t, sys.MmapAt(r.pages, readWrite, sys.MapShared, int(file.Fd()), 0))
	must(t, sys.Madvise(r.pages, sys.MadvDontfork))
	must(t, sys.TouchPages(r.pages, pageSize))
	t.Cleanup(func() { file.Close() })
	return file
}

// notSecret puts ordinary shared memory in the place of secret memory, with all else that secret
// memory has.
func notSecret(t *testing.T, r *Region) func() {
	file, err := sys.MemfdCreate("secretmem", sys.MfdNoexecSeal)
	must(t, err)
	defer file.Close()
	must(t, file.Truncate(int64(len(r.pages))))
	must(t, sys.MmapAt(r.pages, readWrite, sys.MapShared, int(file.Fd()), 0))
	must(t, sys.Madvise(r.pages, sys.MadvDontfork))
	must(t, sys.Madvise(r.pages, sys.MadvDontdump))
	must(t, sys.Mlock(r.pages))
	return nil
}

// readOnlyFile puts another file in the place of a read-only one: sealed with seals, opened to be
// written or not, mapped with flags; it may keep a mapping that can be written.
func readOnlyFile(seals, flags int, writer bool) func(*testing.T, *Region) func() {
	return func(t *testing.T, r *Region) func() {
		file, err := sys.MemfdCreate("region", sys.MfdNoexecSeal)
		must(t, err)
		defer file.Close()
		must(t, sys.Fallocate(file, 0, int64(len(r.pages))))
		var undo func()
		if writer {
			alias, err := sys.Mmap(len(r.pages), readWrite, sys.MapShared, int(file.Fd()), 0)
			must(t, err)
			undo = func() { must(t, sys.Munmap(alias)) }
		}
		if seals != 0 {
			must(t, sys.AddSeals(file, seals))
		}
		must(t, sys.MmapAt(r.pages, sys.ProtRead, flags, int(file.Fd()), 0))
		return undo
	}
}

var mutants = []mutant{
	{"secret: ordinary shared memory in its place", 100, []Option{Secret()}, notSecret, "region-secret"},
	{"secret: a descriptor is open", 100, []Option{Secret()}, func(t *testing.T, r *Region) func() { secretFile(t, r); return nil }, "region-descriptor"},
	{"secret: mapped a second time", 100, []Option{Secret()}, func(t *testing.T, r *Region) func() {
		file := secretFile(t, r)
		alias, err := sys.Mmap(len(r.pages), readWrite, sys.MapShared, int(file.Fd()), 0)
		must(t, err)
		alias[0] = 1
		file.Close()
		return func() { must(t, sys.Munmap(alias)) }
	}, "region-alone"},
	{"secret: core dumps take it", 100, []Option{Secret()}, advised(all, sys.MadvDodump), "region-no-dump"},
	{"secret: children inherit it", 100, []Option{Secret()}, advised(all, sys.MadvDofork), "region-no-fork"},
	{"secret: not touched, claims to be resident", 100, []Option{Secret(), mutantBudget}, claims(resident), "region-resident"},
	{"resident: a tail that is not locked", 3 * pageSize, []Option{Resident()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Munlock(r.last()))
		return nil
	}, "region-locked"},
	{"resident: locked on first touch", 3 * pageSize, []Option{Resident()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Munlock(r.last()))
		must(t, sys.Mlock2(r.last(), sys.MlockOnFault))
		if shown := flagsAt(t, r.last()); shown.Has(vma.FlagUnknown) && !shown.Has(vma.FlagLockOnFault) {
			t.Skipf("this kernel does not say that memory is locked on first touch: %s", shown)
		}
		return nil
	}, "region-locked"},
	{"resident: a page that was thrown away", 3 * pageSize, []Option{Resident(), NoExec()}, advised(lastPage, sys.MadvDontneedLocked), "region-resident"},
	{"resident: droppable memory in the place of a page", 3 * pageSize, []Option{NoSwap(), NoExec()}, func(t *testing.T, r *Region) func() {
		err := sys.MmapAt(r.last(), readWrite, sys.MapDroppable|sys.MapAnonymous, -1, 0)
		if errors.Is(err, syscall.EINVAL) {
			t.Skip("no droppable memory: ", err)
		}
		must(t, err)
		return nil
	}, "region-locked"},
	{"no swap: never locked", 100, nil, claims(noSwap), "region-locked"},
	{"no swap: a hole", 3 * pageSize, []Option{NoSwap()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Munmap(r.last()))
		return nil
	}, "region-locked"},
	{"on use: the kernel does not account it", 100, []Option{mutantBudget}, func(t *testing.T, r *Region) func() {
		mode, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
		if err != nil || string(mode) == "2\n" {
			t.Skipf("the kernel accounts all: %s %v", mode, err)
		}
		must(t, sys.MmapAt(r.pages, readWrite, sys.MapPrivate|sys.MapAnonymous|sys.MapNoreserve, -1, 0))
		return nil
	}, "region-committed"},
	{"on use: more than the budget", 100, []Option{mutantBudget}, func(_ *testing.T, r *Region) func() {
		r.budget.release(int64(len(r.pages)))
		r.budget = &Budget{limit: 1}
		r.budget.used.Store(int64(len(r.pages)))
		return nil
	}, "region-committed"},
	{"on use: charged to nothing", 100, nil, claims(onUse), "region-committed"},
	{"guarded: the lower guard can be read", 100, []Option{Guarded()}, protected(lowGuard, sys.ProtRead), "region-guards"},
	{"guarded: the upper guard can be written", 100, []Option{Guarded()}, protected(highGuard, readWrite), "region-guards"},
	{"guarded: the upper guard is gone", 100, []Option{Guarded()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Munmap(highGuard(r)))
		return nil
	}, "region-guards"},
	{"guarded: the upper guard can be executed", 100, []Option{Guarded()}, protected(highGuard, sys.ProtExec), "region-guards"},
	{"guarded: the mark of a big region's guard is gone", 2 << 20, []Option{Guarded()}, func(t *testing.T, r *Region) func() {
		if !r.oneMapping {
			t.Skip("no guard marks here")
		}
		must(t, sys.Madvise(lowGuard(r), sys.MadvGuardRemove))
		return nil
	}, "region-guards"},
	{"guarded: secret, a guard can be read", 100, []Option{Secret(), Guarded()}, protected(lowGuard, sys.ProtRead), "region-guards"},
	{"guarded: a canary before the data", 100, []Option{Guarded()}, func(_ *testing.T, r *Region) func() {
		before, _ := r.slack()
		before[len(before)-1]++
		return nil
	}, "region-canaries"},
	{"guarded: a canary behind the data", 100, []Option{Guarded(), Windowed()}, func(t *testing.T, r *Region) func() {
		must(t, r.Write(func([]byte) error {
			_, behind := r.slack()
			behind[0] ^= 0x80
			return nil
		}))
		return nil
	}, "region-canaries"},
	{"guarded: canaries that were moved", 100, []Option{Guarded()}, func(_ *testing.T, r *Region) func() { copy(r.pages[8:16], r.pages[:8]); return nil }, "region-canaries"},
	{"guarded: a page with canaries can't be read", 3*pageSize - 100, []Option{Guarded()}, protected(first, sys.ProtNone), "region-canaries"},
	{"guarded: the first canary", 100, []Option{Guarded()}, func(_ *testing.T, r *Region) func() { r.pages[0]++; return nil }, "region-canaries"},
	{"sealed: not sealed", 100, nil, claims(sealed), "region-sealed"},
	{"sealed: the guards are, the pages are not", 100, []Option{Guarded()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Mseal(lowGuard(r)))
		must(t, sys.Mseal(highGuard(r)))
		r.has |= sealed
		return nil
	}, "region-sealed"},
	{"sealed: a guard is not", 100, []Option{Guarded()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Mseal(withGuard(r)))
		r.has |= sealed
		return nil
	}, "region-sealed"},
	{"sealed: secret, not sealed", 100, []Option{Secret()}, claims(sealed), "region-sealed"},
	{"read-only: no seals, so it can be made writable", 100, []Option{ReadOnlyUntilClose(table)}, readOnlyFile(0, sys.MapShared, false), "region-read-only"},
	{"read-only: another file, to which who mapped it before can write", 100, []Option{ReadOnlyUntilClose(table)}, readOnlyFile(sys.SealFutureWrite, sys.MapShared, false), "region-read-only"},
	{"read-only: a page of its file in the place of another", 3 * pageSize, []Option{ReadOnlyUntilClose(table)}, func(t *testing.T, r *Region) func() {
		_, err := sys.Mremap(r.last()[:0], pageSize, sys.MremapMaymove|sys.MremapFixed, sys.Addr(first(r))) // of 0 bytes: a copy
		must(t, err)
		return nil
	}, "region-read-only"},
	{"read-only: a private mapping", 100, []Option{ReadOnlyUntilClose(table), Guarded()}, func(t *testing.T, r *Region) func() {
		undo := readOnlyFile(sys.SealWrite, sys.MapPrivate, false)(t, r)
		r.has &^= guarded // the file has no canaries
		return undo
	}, "region-read-only"},
	{"read-only: another mapping can be written", 100, []Option{ReadOnlyUntilClose(table)}, readOnlyFile(sys.SealFutureWrite, sys.MapShared, true), "region-read-only"},
	{"read-only: ordinary memory", 100, []Option{NoExec(), NoMerge()}, func(t *testing.T, r *Region) func() {
		must(t, sys.Mprotect(r.pages, sys.ProtRead))
		r.has |= readOnly
		return nil
	}, "region-read-only"},
	{"windowed: open", 100, []Option{Windowed()}, opened(all, readWrite), "region-closed"},
	{"windowed: a page can be read", 3 * pageSize, []Option{Windowed(), Guarded()}, opened(lastPage, sys.ProtRead), "region-closed"},
	{"windowed: a page can be written", 3 * pageSize, []Option{Windowed()}, opened(first, sys.ProtWrite), "region-closed"},
	{"no dump: a page is dumped", 3 * pageSize, []Option{NoDump()}, advised(lastPage, sys.MadvDodump), "region-no-dump"},
	{"no fork: a page is inherited", 3 * pageSize, []Option{NoFork()}, advised(lastPage, sys.MadvDofork), "region-no-fork"},
	{"no fork: all is inherited", 100, []Option{NoFork(), NoDump()}, advised(all, sys.MadvDofork), "region-no-fork"},
	{"wiped on fork: a page is kept", 3 * pageSize, []Option{WipeOnFork()}, advised(lastPage, sys.MadvKeeponfork), "region-wiped-on-fork"},
	{"wiped on fork: all is kept", 100, []Option{WipeOnFork(), Resident()}, func(t *testing.T, r *Region) func() {
		r.data[0] = 1
		return advised(all, sys.MadvKeeponfork)(t, r)
	}, "region-wiped-on-fork"},
	{"no exec: writable and executable", 100, []Option{NoExec(), Guarded()}, protected(all, readWrite|sys.ProtExec), "region-no-exec"},
	{"no exec: read-only, and executable elsewhere", 100, []Option{ReadOnlyUntilClose(table)}, func(t *testing.T, r *Region) func() {
		file, err := sys.MemfdCreate("region", sys.MfdNoexecSeal)
		must(t, err)
		defer file.Close()
		must(t, sys.Fallocate(file, 0, int64(len(r.pages))))
		must(t, sys.AddSeals(file, sys.SealWrite))
		must(t, r.identify(file))
		must(t, sys.MmapAt(r.pages, sys.ProtRead, sys.MapShared, int(file.Fd()), 0))
		alias, err := sys.Mmap(len(r.pages), sys.ProtRead|sys.ProtExec, sys.MapShared, int(file.Fd()), 0)
		must(t, err)
		return func() { must(t, sys.Munmap(alias)) }
	}, "region-no-exec"},
	{"no merge: mergeable", 100, []Option{NoMerge(), Guarded()}, advised(all, sys.MadvMergeable), "region-no-merge"},
	{"no merge: a page is mergeable", 3 * pageSize, []Option{NoMerge()}, advised(lastPage, sys.MadvMergeable), "region-no-merge"},
}

var mutantBudget = OnUse(&Budget{limit: 1 << 30})

// Verify names what a mutant lacks, and nothing else; of its twin, which is intact, nothing.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			twin, err := Map(m.size, m.options...)
			skipUnsupported(t, err)
			defer twin.Close()
			r, err := Map(m.size, m.options...)
			skipUnsupported(t, err)
			defer r.abandonMutant(t)
			if undo := m.damage(t, r); undo != nil {
				defer undo()
			}
			if got := brokenRules(t, r); !slices.Equal(got, []string{m.broken}) {
				t.Errorf("broken: %q, want %q", got, m.broken)
			}
			if got := brokenRules(t, twin); len(got) > 0 {
				t.Errorf("the twin, which is intact: %q", got)
			}
		})
	}
	if len(mutants) < 25 {
		t.Errorf("%d mutants", len(mutants))
	}
}

func skipUnsupported(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if errors.As(err, &e) && errors.Is(err, ErrUnsupported) && e.Guarantee != "Resident" && e.Guarantee != "NoSwap" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// abandonMutant unmaps without a look. What the test sealed stays.
func (r *Region) abandonMutant(t *testing.T) {
	if err := sys.Munmap(r.whole); err != nil && !errors.Is(err, syscall.EPERM) {
		t.Error(err)
	}
	if r.budget != nil {
		r.budget.release(int64(len(r.pages)))
	}
}

func brokenRules(t *testing.T, r *Region) []string {
	t.Helper()
	verdicts, err := r.Verify()
	if err != nil {
		t.Fatal(err)
	}
	var broken []string
	for i := range verdicts {
		v := &verdicts[i]
		if err := v.Validate(); err != nil {
			t.Error(err)
		}
		switch v.Status {
		case guarantee.Broken:
			broken = append(broken, v.Rule)
		case guarantee.Unknown:
			t.Errorf("%s: unknown: %s; control %s", v.Rule, v.Message, v.Control.Detail)
		}
	}
	return broken
}

// Each rule has a mutant.
func TestEachRuleHasAMutant(t *testing.T) {
	for _, c := range checks {
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.broken == c.rule }) {
			t.Errorf("%s has none", c.rule)
		}
	}
}

// Content of a ReadOnly region that changed is corrupt.
func TestScrubKnowsContent(t *testing.T) {
	r, err := Map(100, ReadOnlyUntilClose(table))
	skipUnsupported(t, err)
	defer r.Close()
	found := make(chan error, 1)
	s, err := StartScrub(2*time.Millisecond, func(_ *Region, err error) { found <- err })
	must(t, err)
	defer s.Stop()
	must(t, s.Add(r))
	s.mu.Lock()
	s.regions[r].crc++
	s.mu.Unlock()
	if err := <-found; !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if v := s.Verdicts(); len(v) != 1 || v[0].Status != guarantee.Broken {
		t.Errorf("%+v", v)
	}
}

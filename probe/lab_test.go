package probe

import (
	"os"
	"strconv"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/lab"
)

// What the mode of overcommitment changes, in each of the three. A host keeps its mode: this is for
// the lab alone.
func TestModesOfOvercommitment(t *testing.T) {
	lab.Inside(t)
	const path = "/proc/sys/vm/overcommit_memory"
	before := read(t, path)
	t.Cleanup(func() { os.WriteFile(path, []byte(before), 0) })
	want := [3]map[string]Outcome{
		0: {"cm-too-much": Confirmed, "cm-limit": Refuted, "cm-noreserve": Confirmed, "cm-fork": Confirmed},
		1: {"cm-too-much": Refuted, "cm-limit": Refuted, "cm-noreserve": Confirmed, "cm-fork": Confirmed},
		2: {"cm-too-much": Confirmed, "cm-limit": Confirmed, "cm-noreserve": Confirmed, "cm-fork": Confirmed},
	}
	for mode, outcomes := range want {
		if err := os.WriteFile(path, []byte(strconv.Itoa(mode)), 0); err != nil {
			t.Fatal(err)
		}
		var probes []Probe
		for id := range outcomes {
			p, _ := Find(id)
			probes = append(probes, p)
		}
		for _, r := range runAll(t, Config{Probes: probes}).Probes {
			if r.Outcome != outcomes[r.ID] {
				t.Errorf("mode %d, %s: %s, want %s", mode, r.ID, told(&r), outcomes[r.ID])
			}
		}
	}
}

// Where secret memory is made, the kernel splits big pages of its linear map, and counts that;
// for other memory it does not. That takes a machine on which few are split, and more pages than a
// run may have on a host.
func TestSplitsAreCounted(t *testing.T) {
	lab.Inside(t)
	f, err := sys.MemfdSecret()
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	splits := func() uint64 {
		counters, err := host.ReadVMStat("/proc").Get()
		if err != nil {
			t.Fatal(err)
		}
		n, err := counters.Get("direct_map_level2_splits")
		if err != nil {
			t.Skip(err)
		}
		return n
	}
	const pages = 2048 // four big pages of 2 MiB
	touch := func(flags, fd int) uint64 {
		b, err := sys.Mmap(pages*pageSize, rw, flags, fd, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Munmap(b)
		before := splits()
		for at := 0; at < len(b); at += pageSize {
			if a := store(b[at:]); a != OK {
				t.Fatal(a)
			}
		}
		return splits() - before
	}
	if err := f.Truncate(pages * int64(pageSize)); err != nil {
		t.Fatal(err)
	}
	if n := touch(private|sys.MapAnonymous|sys.MapLocked, -1); n != 0 {
		t.Errorf("%d splits for ordinary memory", n)
	}
	if n := touch(shared, int(f.Fd())); n == 0 {
		t.Errorf("no splits for %d secret pages", pages)
	} else {
		t.Logf("%d splits for %d secret pages", n, pages)
	}
}

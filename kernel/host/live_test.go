package host

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// readLive reads the running kernel.
func readLive(t *testing.T) (*Facts, map[string]Fact) {
	t.Helper()
	return readAll(t, New("", ""))
}

// needRoot skips where the reader does not have every right over the host.
func needRoot(t *testing.T, f *Facts) {
	t.Helper()
	if p, err := f.Reader.Get(); err != nil || p.EUID != 0 || !p.Has(capDACOverride) {
		t.Skipf("needs root in the initial user namespace: %+v, %v", p, err)
	}
}

// must returns a value that every reader of every kernel can have.
func must[T any](t *testing.T, name string, v Value[T]) T {
	t.Helper()
	got, err := v.Get()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return got
}

func cString[T int8 | uint8](field []T) string {
	var b []byte
	for _, c := range field {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

// What was read agrees with what the system calls say.
func TestLiveAgreesWithSystemCalls(t *testing.T) {
	f, _ := readLive(t)
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		t.Fatal(err)
	}
	want := Uname{cString(u.Sysname[:]), cString(u.Nodename[:]), cString(u.Release[:]), cString(u.Version[:]), cString(u.Machine[:])}
	if got := must(t, "uname", f.Kernel.Uname); got != want {
		t.Errorf("uname %+v, want %+v", got, want)
	}
	id := f.Identity()
	if id.Name != guarantee.Text(want.Node) || id.Kernel != want.Release || len(id.BootID) != 36 {
		t.Errorf("identity %+v", id)
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	table := must(t, "meminfo", f.Memory.Info)
	if len(table.Bad) > 0 {
		t.Errorf("lines of meminfo that make no sense: %v", table.Bad)
	}
	total, err := table.Get("MemTotal")
	if err != nil {
		t.Fatal(err)
	}
	// Memory can come and go between the two, by a balloon: by little.
	if wantTotal := info.Totalram * uint64(info.Unit); absDiff(total, wantTotal) > wantTotal/100 {
		t.Errorf("MemTotal %d, sysinfo(2) says %d", total, wantTotal)
	}
	if areas, err := f.Swap.Areas.Get(); err == nil {
		var swap uint64
		for _, area := range areas {
			swap += area.Size
		}
		if wantSwap := info.Totalswap * uint64(info.Unit); absDiff(swap, wantSwap) > wantSwap/100 {
			t.Errorf("swap areas have %d bytes, sysinfo(2) says %d", swap, wantSwap)
		}
	}
	if len(must(t, "vmstat", f.Memory.VMStat).Bad) > 0 {
		t.Errorf("lines of vmstat that make no sense: %v", f.Memory.VMStat.V.Bad)
	}
}

func absDiff(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// CommitLimit follows from the ratio, the memory and the swap
// (Documentation/mm/overcommit-accounting.rst): the facts fit together.
func TestLiveCommitLimit(t *testing.T) {
	f, _ := readLive(t)
	table := must(t, "meminfo", f.Memory.Info)
	allowed := must(t, "overcommit_kbytes", f.Commit.KBytes)
	if allowed == 0 {
		huge := table.Numbers["HugePages_Total"] * table.Numbers["Hugepagesize"]
		allowed = (table.Numbers["MemTotal"] - huge) / 100 * must(t, "overcommit_ratio", f.Commit.Ratio)
	}
	want := allowed + table.Numbers["SwapTotal"]
	if got := must(t, "CommitLimit", f.Commit.Limit); absDiff(got, want) > want/1000+1<<20 {
		t.Errorf("CommitLimit %d, want %d", got, want)
	}
	if must(t, "Committed_AS", f.Commit.Committed) == 0 {
		t.Error("nothing is committed, on a running host")
	}
}

// Every fact is known, or says why not; an ordinary user is refused some, and root none
// but what a policy of the host refuses.
func TestLiveFactsHaveReasons(t *testing.T) {
	f, facts := readLive(t)
	for name, fact := range facts {
		if fact.Source == "" || fact.Method == "" {
			t.Errorf("%s: source %q, method %q", name, fact.Source, fact.Method)
		}
		if (fact.Value == nil) == (fact.Err == nil) {
			t.Errorf("%s: value %v with error %v", name, fact.Value, fact.Err)
		}
		if reason := ReasonOf(fact.Err); reason != "" && reason != Absent && reason != Denied {
			t.Errorf("%s: %s: %v", name, reason, fact.Err)
		}
		if _, err := json.Marshal(fact); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.Window.From.IsZero() || f.Window.To.Before(f.Window.From) {
		t.Errorf("window %+v", f.Window)
	}
	if os.Geteuid() == 0 {
		return
	}
	for _, name := range []string{"last_readers.bpf", "secret_memory.parameter", "zones.system_ram", "zones.vmalloc"} {
		if reason := ReasonOf(facts[name].Err); reason != Denied && reason != Absent {
			t.Errorf("%s for an ordinary user: %v, %v; want denied", name, facts[name].Value, facts[name].Err)
		}
	}
}

// Reading leaves nothing behind: no descriptor, no mount.
func TestLiveLeavesNothingBehind(t *testing.T) {
	readLive(t) // the runtime's own descriptors are open after this
	descriptors := func() []string {
		names, err := list("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return names
	}
	mounts := func() string {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	fdsBefore, mountsBefore := descriptors(), mounts()
	for range 3 {
		readLive(t)
	}
	if after := descriptors(); !slices.Equal(after, fdsBefore) {
		t.Errorf("descriptors before %v, after %v", fdsBefore, after)
	}
	if after := mounts(); after != mountsBefore {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mountsBefore, after)
	}
}

// A Reader may be used by several goroutines.
func TestLiveConcurrently(t *testing.T) {
	r := New("", "")
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if f, err := r.Read(context.Background()); err != nil || !f.Memory.Info.Known() {
				t.Errorf("%v", err)
			}
		})
	}
	group.Wait()
}

// Two ways to the list of security modules agree: securityfs and the system call.
func TestLiveLSMs(t *testing.T) {
	f, _ := readLive(t)
	got, err := f.Security.LSMs.Get()
	if err != nil {
		t.Skipf("the list cannot be read: %v", err)
	}
	ids, err := sys.LSMs()
	if errors.Is(err, syscall.ENOSYS) {
		t.Skip("lsm_list_modules(2) came with Linux 6.8")
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, id := range ids {
		want = append(want, lsmNames[id])
	}
	slices.Sort(want)
	got = slices.Sorted(slices.Values(got))
	if !slices.Equal(got, want) {
		t.Errorf("%s says %v, lsm_list_modules(2) says %v", f.Security.LSMs.Source, got, want)
	}
	if lockdown := f.Security.Lockdown; lockdown.Known() {
		if !slices.Contains(got, "lockdown") {
			t.Errorf("lockdown is %v without its module", lockdown.V)
		}
		floor := must(t, "lockdown_floor", f.Security.LockdownFloor)
		if lockdownRank(lockdown.V.Selected) < lockdownRank(floor) {
			t.Errorf("lockdown is %s, below what is forced: %s", lockdown.V.Selected, floor)
		}
	}
}

// The experiment on /proc/self/mem and the configuration say the same.
func TestLiveProcMem(t *testing.T) {
	f, _ := readLive(t)
	forced := must(t, "proc_mem_forced", f.LastReaders.ProcMemForced)
	if f.LastReaders.ProcMemForced.Method != guarantee.Probe {
		t.Errorf("method %s", f.LastReaders.ProcMemForced.Method)
	}
	override, err := f.LastReaders.ProcMemOverride.Get()
	if err != nil {
		t.Skipf("nothing to compare with: %v", err)
	}
	if forced != (override == "always") {
		t.Errorf("forced %v, override %s", forced, override)
	}
}

// The control of the experiment can fail: a page that may not be touched at all is
// never written, by force either.
func TestProcMemControl(t *testing.T) {
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	if err := writeOwnPage(mem, sys.ProtRead|sys.ProtWrite); !errors.Is(err, syscall.EBADF) {
		t.Errorf("writing without the right to: %v, want EBADF", err)
	}
}

// A BPF program that is loaded is seen, with what it is; when it is gone, it is not.
func TestLiveBPF(t *testing.T) {
	f, _ := readLive(t)
	if _, err := f.LastReaders.BPF.Get(); err != nil {
		t.Skipf("BPF programs cannot be listed: %v", err)
	}
	const (
		socketFilter = 1
		name         = "safevma_seen"
	)
	returnZero := []uint64{0xb7, 0x95} // r0 = 0; exit
	prog, err := sys.BPFProgLoad(socketFilter, name, returnZero)
	if err != nil {
		t.Skipf("no BPF program can be loaded: %v", err)
	}
	info, err := sys.BPFProgInfo(prog)
	if err != nil {
		t.Fatal(err)
	}
	find := func() (BPFProgram, bool) {
		f, _ := readLive(t)
		for _, p := range must(t, "bpf", f.LastReaders.BPF) {
			if p.ID == info.ID {
				return p, true
			}
		}
		return BPFProgram{}, false
	}
	p, found := find()
	if !found || p.Name != name || p.Type != "socket_filter" || p.UID != uint32(os.Geteuid()) || p.Loaded <= 0 || len(p.Tag) != 16 || p.Reach != ReachCurrent {
		t.Errorf("%+v, %v", p, found)
	}
	if err := prog.Close(); err != nil {
		t.Fatal(err)
	}
	if p, found := find(); found {
		t.Errorf("still there: %+v", p)
	}
}

// The zones fit together: what the kernel manages lies in the memory that there is.
func TestLiveZones(t *testing.T) {
	f, _ := readLive(t)
	needRoot(t, f)
	ram := must(t, "system RAM", f.Zones.SystemRAM)
	total := must(t, "meminfo", f.Memory.Info).Numbers["MemTotal"]
	if ram.Bytes < total {
		t.Errorf("System RAM %d is less than MemTotal %d", ram.Bytes, total)
	}
	for _, section := range must(t, "kernel image", f.Zones.Image) {
		inside := slices.ContainsFunc(ram.Ranges, func(r Range) bool { return r.Start <= section.Start && section.Last <= r.Last })
		if !inside {
			t.Errorf("%s lies outside of System RAM", rawRange(section))
		}
	}
	v := must(t, "vmalloc", f.Zones.Vmalloc)
	var sum VmallocUse
	for use, areas := range v.Uses {
		if use != "unpurged" {
			sum.Areas += areas.Areas
			sum.Bytes += areas.Bytes
		}
	}
	if v.Areas == 0 || sum.Areas != v.Areas || sum.Bytes != v.Bytes {
		t.Errorf("%d areas with %d bytes; their uses sum up to %+v", v.Areas, v.Bytes, sum)
	}
	var present uint64
	for _, zone := range must(t, "zoneinfo", f.Zones.Nodes) {
		present += zone.Present
	}
	if bytes := present * uint64(os.Getpagesize()); bytes < total {
		t.Errorf("%d bytes present in the zones, MemTotal %d", bytes, total)
	}
	if vmemmap := must(t, "vmemmap", f.Zones.Vmemmap); vmemmap < present*structPage/2 {
		t.Errorf("vmemmap has %d bytes for %d pages", vmemmap, present)
	}
	if direct := f.Zones.DirectMap; direct.Known() {
		var mapped uint64
		for _, bytes := range direct.V {
			mapped += bytes
		}
		if mapped < total {
			t.Errorf("the linear map has %d bytes, MemTotal %d", mapped, total)
		}
	}
}

// Whether secret memory works agrees with the parameter.
func TestLiveSecretMemory(t *testing.T) {
	f, _ := readLive(t)
	works := must(t, "memfd_secret", f.SecretMemory.Works)
	if on, err := f.SecretMemory.Parameter.Get(); err == nil && works && !on {
		t.Error("memfd_secret(2) works, and is switched off")
	}
}

// A file system that is mounted nowhere is read all the same, and nothing is lost where
// it cannot be.
func TestLiveLockdown(t *testing.T) {
	f, _ := readLive(t)
	needRoot(t, f)
	if !slices.Contains(f.Security.LSMs.V, "lockdown") {
		t.Skip("the lockdown module is not active")
	}
	lockdown := must(t, "lockdown", f.Security.Lockdown)
	if f.Security.Lockdown.Method != guarantee.Read || !strings.Contains(f.Security.Lockdown.Raw, "["+lockdown.Selected+"]") {
		t.Errorf("%+v", f.Security.Lockdown)
	}
}

func BenchmarkRead(b *testing.B) {
	r := New("", "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

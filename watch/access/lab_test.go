package access

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/watch/heatmap"
	"github.com/safevma/safevma/watch/recording"
)

// watchSelf starts a kdamond over this process. The lab's machine is the test's alone.
func watchSelf(t *testing.T) {
	t.Helper()
	const dir = "/sys/kernel/mm/damon/admin/kdamonds"
	set := func(name, value string) {
		t.Helper()
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := os.WriteFile(name, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Beside the kdamond of damon_stat no other may start.
	const stat = "/sys/module/damon_stat/parameters/enabled"
	if text, err := os.ReadFile(stat); err == nil && strings.HasPrefix(string(text), "Y") {
		set(stat, "N")
		t.Cleanup(func() { set(stat, "Y") })
	}
	set("nr_kdamonds", "1")
	set("0/contexts/nr_contexts", "1")
	const context = "0/contexts/0/"
	set(context+"operations", "vaddr")
	set(context+"targets/nr_targets", "1")
	set(context+"targets/0/pid_target", strconv.Itoa(os.Getpid()))
	set(context+"monitoring_attrs/intervals/sample_us", "20000")
	set(context+"monitoring_attrs/intervals/aggr_us", "400000")
	set(context+"monitoring_attrs/nr_regions/max", "1000")
	set(context+"monitoring_attrs/nr_regions/min", "200")
	set("0/state", "on")
	t.Cleanup(func() {
		set("0/state", "off")
		set("nr_kdamonds", "0")
	})
}

// touch writes to each page of a range again and again, until stop is closed. DAMON clears
// the accessed bits of page tables and leaves the processor's copies of them (the TLB) alone, so that a
// processor that forgets nothing would not set them again. Changing the rights of many
// pages makes it forget all.
func touch(hot, other []byte, stop, done chan struct{}) {
	defer close(done)
	for n := 0; ; n++ {
		for i := 0; i < len(hot); i += os.Getpagesize() {
			hot[i]++
		}
		_ = sys.Mprotect(other, []int{syscall.PROT_READ, syscall.PROT_READ | syscall.PROT_WRITE}[n%2])
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// Memory that is touched all the time is hot in the picture, memory beside it that is not
// is cold, and the working set has about its size.
func TestRecordKnownPattern(t *testing.T) {
	lab.Inside(t)
	lab.Require(t, "damon-vaddr")
	const size, hot, other = 64 << 20, 16 << 20, 1 << 20
	arena, err := sys.Mmap(size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(arena)
	if err := sys.Madvise(arena, syscall.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < size; i += os.Getpagesize() {
		arena[i] = 1
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go touch(arena[:hot], arena[size-other:], stop, done)
	defer func() {
		close(stop)
		<-done
	}()
	watchSelf(t)
	name := filepath.Join(t.TempDir(), "r")
	p, err := Record(t.Context(), RecordOptions{Name: name, Duration: 20 * time.Second})
	if err != nil || p.Snapshots < 10 || p.Lost > 0 || p.Partial > 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	f, err := recording.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := sys.Addr(arena)
	m, err := heatmap.Draw(f.Each, heatmap.Options{Times: 1, Addresses: 4, Range: &heatmap.Range{Start: start, End: start + size}, Last: 10 * time.Second, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	cells := []float64{m.Cell(0, 0), m.Cell(0, 1), m.Cell(0, 2), m.Cell(0, 3)}
	t.Logf("%d snapshots; accesses a second in each quarter: %.3g", p.Snapshots, cells)
	for _, cold := range cells[1:] {
		if !(cells[0] > 5*cold && cells[0] <= 50) { // a sample each 20 ms can't tell of more
			t.Errorf("the first quarter is touched, the others are not: %v Hz", cells)
		}
	}
	if m.Stream.Context == nil || len(m.Stream.Context.PIDs) != 1 || m.Stream.Context.PIDs[0] != os.Getpid() {
		t.Errorf("%+v", m.Stream.Context)
	}
}

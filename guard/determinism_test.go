package guard_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/lab/machine"
)

// Sizes in bytes: of the group that both are in, of the file that the workload looks at twice, of
// what the hog reads and holds.
const (
	groupSize = 96 << 20
	fileSize  = 16 << 20
	hogFile   = 160 << 20
	hogMemory = 24 << 20
)

// Environment variables that ask this test binary to be something.
const (
	groupEnv    = "SAFEVMA_GUARD_GROUP"    // enter a cgroup first
	workloadEnv = "SAFEVMA_GUARD_WORKLOAD" // a file
	hogEnv      = "SAFEVMA_GUARD_HOG"      // a file
)

// stalls are what a workload has seen.
type stalls struct {
	Major        int64 // faults that had to read
	Median, Most time.Duration
}

// workload looks at each page of a file, waits for a line, looks again, and writes what that cost.
func workload(name string) int {
	f, err := written(name, fileSize)
	if err != nil {
		return failed(err)
	}
	b, err := sys.Mmap(fileSize, sys.ProtRead, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return failed(err)
	}
	if err := sys.Madvise(b, sys.MadvRandom); err != nil { // each page that is gone is waited for, and not read ahead
		return failed(err)
	}
	look(b)
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return failed(err)
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	all := look(b)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	slices.Sort(all)
	if err := json.NewEncoder(os.Stdout).Encode(stalls{after.Majflt - before.Majflt, all[len(all)/2], all[len(all)-1]}); err != nil {
		return failed(err)
	}
	return 0
}

// look reads a byte of each page, and returns how long each 64 of them took.
func look(b []byte) (all []time.Duration) {
	for at := 0; at < len(b); at += 64 * page {
		from := time.Now()
		for i := range 64 {
			sink += b[at+i*page]
		}
		all = append(all, time.Since(from))
	}
	return all
}

var sink byte

// hog looks at a file over and over, and holds memory, so that what others have in the group is reclaimed. It
// says when it has seen all of it.
func hog(name string) int {
	memory := make([]byte, hogMemory)
	f, err := written(name, hogFile)
	if err != nil {
		return failed(err)
	}
	b, err := sys.Mmap(hogFile, sys.ProtRead, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return failed(err)
	}
	for {
		for i := 0; i < len(memory); i += page {
			memory[i]++
		}
		look(b)
		look(b[:hogFile/2]) // and some of it again
		fmt.Println("ready")
	}
}

// arena is a limited cgroup for a program and a hog.
type arena struct {
	*cgroup.Group
	program, hog string // where each is started
}

// newArena makes one. In version 2 a group with processes can't have limited groups below it: there each is in
// a group of its own below, and the group that a launch makes is beside those.
func newArena(t *testing.T, name string) (a arena, remove func()) {
	t.Helper()
	lab.MemoryController(t)
	g, err := cgroup.NewMemory(name, groupSize)
	if err != nil {
		t.Skip("no cgroup with a limit: ", err)
	}
	a = arena{g, g.Dir(), g.Dir()}
	if g.Version() == 2 {
		a.program, a.hog = filepath.Join(g.Dir(), "program"), filepath.Join(g.Dir(), "hog")
		if err := errors.Join(os.Mkdir(a.program, 0o755), os.Mkdir(a.hog, 0o755),
			os.WriteFile(filepath.Join(g.Dir(), "memory.min"), []byte("max"), 0), // no group has a higher floor than those above
			os.WriteFile(filepath.Join(g.Dir(), "cgroup.subtree_control"), []byte("+memory"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	remove = sync.OnceFunc(func() {
		if g.Version() == 2 {
			waitFor(t, func() bool { return syscall.Rmdir(a.program) == nil }, "the program is left in its cgroup")
			waitFor(t, func() bool { return syscall.Rmdir(a.hog) == nil }, "the hog is left in its cgroup")
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(remove) // also where the test ends before
	return a, remove
}

// within runs the workload in the arena, under profiles or none, beside the hog, and returns what it saw.
func within(t *testing.T, dir, profile string, a arena) stalls {
	t.Helper()
	file := filepath.Join(dir, "file")
	cmd := exec.Command(victim(t))
	if profile != "" {
		cmd = launcher(profile, nil, victim(t))
	}
	cmd.Env = append(cmd.Environ(), workloadEnv+"="+file, groupEnv+"="+a.program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := begin(t, cmd)
	big := exec.Command(victim(t))
	big.Env = append(os.Environ(), hogEnv+"="+filepath.Join(dir, "big"), groupEnv+"="+a.hog)
	defer func() {
		big.Process.Kill()
		big.Wait()
	}()
	passes := begin(t, big)
	for range 2 {
		expect(t, passes, "ready\n")
	}
	fmt.Fprintln(in)
	var s stalls
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

// begin starts a process, and waits until it is ready.
func begin(t *testing.T, cmd *exec.Cmd) (out io.Reader) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "ready\n")
	return out
}

// written makes a file of some length. Who writes it is charged for its pages in memory.
func written(name string, size int) (*os.File, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	for chunk := make([]byte, 1<<20); size > 0; size -= len(chunk) { // what is not written back yet can't be reclaimed
		if _, err := f.Write(chunk); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// floor is a profile of nothing but memory that pressure elsewhere can't reclaim: where it is short for what
// the workload needs, it waits for pages.
const floor = "schema: " + guard.Schema + "\nname: floor\nrules: {memory-group: true}\nmemory_min: "

// TestDeterministic: beside a hog in the same limited cgroup, a program under deterministic waits for no
// page, and the same program without does. SAFEVMA_NIGHTLY runs it fifty times.
func TestDeterministic(t *testing.T) {
	determined(t, "deterministic", "")
}

// TestFloor: where cgroups are of version 2, memory.min alone keeps all that a program has, without a lock;
// with a floor of a page beside it the program waits.
func TestFloor(t *testing.T) {
	dir := t.TempDir()
	high, low := filepath.Join(dir, "high.yaml"), filepath.Join(dir, "low.yaml")
	if err := errors.Join(os.WriteFile(high, []byte(floor+"32MiB\n"), 0o644), os.WriteFile(low, []byte(floor+"4KiB\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		a, remove := newArena(t, fmt.Sprintf("safevma-guard-version-%d", os.Getpid()))
		remove()
		if a.Version() == 1 {
			t.Skip("cgroups of version 1 have no floor")
		}
		if all := lacking(t, high); len(all) > 0 {
			t.Errorf("does not hold: %v", all)
		}
	}
	determined(t, high, low)
}

// TestFloorBelowNone: a floor below a group that has none is no floor, and is not said to be one.
func TestFloorBelowNone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes cgroups")
	}
	high := filepath.Join(t.TempDir(), "high.yaml")
	if err := os.WriteFile(high, []byte(floor+"32MiB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	a, remove := newArena(t, fmt.Sprintf("safevma-guard-none-%d", os.Getpid()))
	defer remove()
	if a.Version() == 1 {
		t.Skip("cgroups of version 1 have no floor")
	}
	for above, holds := range map[string]bool{"0": false, "max": true} {
		if err := os.WriteFile(filepath.Join(a.Dir(), "memory.min"), []byte(above), 0); err != nil {
			t.Fatal(err)
		}
		cmd := launcher(high, nil, victim(t))
		cmd.Env = append(cmd.Env, planEnv+"=1", groupEnv+"="+a.program)
		out, err := cmd.Output()
		if err != nil || (string(out) == "{}\n") != holds {
			t.Errorf("memory.min %s above: %v, %s", above, err, out)
		}
	}
}

// determined holds how a workload fares under a profile against how it does under another, or none.
func determined(t *testing.T, profile, control string) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes cgroups")
	}
	if raceEnabled || testing.Short() {
		t.Skip("it takes some seconds, and tries other processes")
	}
	runs := 1
	if os.Getenv("SAFEVMA_NIGHTLY") != "" {
		runs = 50
	}
	dir := filepath.Dir(victim(t)) // on a disk, and not in a folder for temporary files
	if _, inside, err := machine.Here(); err != nil {
		t.Fatal(err)
	} else if inside {
		dir = lab.Disk(t, "ext4")
	}
	lost := int64(0)
	for i := range runs {
		a, remove := newArena(t, fmt.Sprintf("safevma-guard-%d-%d", os.Getpid(), i))
		with, without := within(t, dir, profile, a), within(t, dir, control, a)
		remove()
		lost += without.Major
		if with.Major != 0 {
			t.Errorf("run %d: under the profile it waited for %d pages", i, with.Major)
		}
		t.Logf("with %+v, without %+v", with, without)
	}
	if lost == 0 {
		t.Error("without it never waited for a page either: the hog is no hog")
	}
}

package guard_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
)

// Sizes in bytes: of the group that both are in, of the file that the workload looks at again and again, of
// what the hog reads and holds.
const (
	groupSize = 96 << 20
	fileSize  = 16 << 20
	hogFile   = 160 << 20
	hogMemory = 68 << 20
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

// workload looks at each page of a file for a while, and writes what that cost.
func workload(name string) int {
	f, err := written(name, fileSize)
	if err != nil {
		return failed(err)
	}
	b, err := sys.Mmap(fileSize, sys.ProtRead, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return failed(err)
	}
	look(b)
	var all []time.Duration
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return failed(err)
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(300 * time.Millisecond) {
		all = append(all, look(b)...)
	}
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

// hog reads a file over and over, and holds memory, so that what others have in the group is reclaimed.
func hog(name string) int {
	memory := make([]byte, hogMemory)
	buffer := make([]byte, 1<<20)
	if _, err := written(name, hogFile); err != nil {
		return failed(err)
	}
	for {
		for i := 0; i < len(memory); i += page {
			memory[i]++
		}
		f, err := os.Open(name)
		if err != nil {
			return failed(err)
		}
		for {
			if n, err := f.Read(buffer); n == 0 || err != nil {
				break
			}
		}
		f.Close()
	}
}

// within runs the workload in a cgroup, under profiles or none, beside the hog, and returns what it saw.
func within(t *testing.T, dir, profile string, g *cgroup.Group) stalls {
	t.Helper()
	file := filepath.Join(dir, "file")
	cmd := exec.Command(victim(t))
	if profile != "" {
		cmd = launcher(profile, nil, victim(t))
	}
	cmd.Env = append(cmd.Environ(), workloadEnv+"="+file, groupEnv+"="+g.Dir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "ready\n")
	big := exec.Command(victim(t))
	big.Env = append(os.Environ(), hogEnv+"="+filepath.Join(dir, "big"), groupEnv+"="+g.Dir())
	big.Stderr = os.Stderr
	if err := big.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		big.Process.Kill()
		big.Wait()
	}()
	time.Sleep(2 * time.Second) // until it has what there is
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

// written makes a file of some length. Who writes it is charged for its pages in memory.
func written(name string, size int) (*os.File, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		return nil, err
	}
	return f, f.Sync()
}

// TestDeterministic: beside a hog in the same limited cgroup, a program under deterministic waits for no
// page, and the same program without does. SAFEVMA_NIGHTLY runs it fifty times.
func TestDeterministic(t *testing.T) {
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
	var rows []string
	lost := int64(0)
	for i := range runs {
		g, err := cgroup.NewMemory("safevma-guard-"+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(i), groupSize)
		if err != nil {
			t.Skip("no cgroup with a limit: ", err)
		}
		with, without := within(t, dir, "deterministic", g), within(t, dir, "", g)
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		lost += without.Major
		if with.Major != 0 {
			t.Errorf("run %d: under deterministic it waited for %d pages", i, with.Major)
		}
		rows = append(rows, fmt.Sprintf("with %+v, without %+v", with, without))
	}
	if lost == 0 {
		t.Error("without rules it never waited for a page either: the hog is no hog")
	}
	for _, r := range rows {
		t.Log(r)
	}
}

package region_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/region"
)

const (
	pressureRole   = "SAFEVMA_REGION_PRESSURE"
	pressureLimit  = 48 << 20
	pressureRounds = 100
	pressureSize   = 4 << 20
)

// Under memory pressure, which a neighbour makes in a cgroup of a limited size that both are in,
// resident memory is accessed without a fault, and ordinary memory is not. It shows the times of
// both.
func TestPressure(t *testing.T) {
	if os.Getenv("SAFEVMA_NIGHTLY") == "" {
		t.Skip("a matter of seconds and of hundreds of megabytes: SAFEVMA_NIGHTLY=1 asks for it")
	}
	enter := limitedCgroup(t)
	dir := t.TempDir()
	neighbour, _ := pressed(t, "neighbour", dir, enter)
	victim, out := pressed(t, "victim", dir, enter)
	if err := victim.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_ = neighbour.Process.Kill()
	_ = neighbour.Wait()
	t.Logf("%d rounds over %d pages each\n%s", pressureRounds, pressureSize/4096, out)
	var resident, ordinary int64
	if _, err := fmt.Sscanf(out.String(), "resident %d faults", &resident); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out.String(), "\n")
	if _, err := fmt.Sscanf(rest, "ordinary %d faults", &ordinary); err != nil {
		t.Fatal(err)
	}
	if ordinary == 0 {
		t.Skip("the pressure reached nobody")
	}
	if resident != 0 {
		t.Errorf("resident memory had %d faults", resident)
	}
}

// limitedCgroup makes a cgroup, and returns what puts a process into it.
func limitedCgroup(t *testing.T) (enter func(pid int)) {
	t.Helper()
	dir, limit := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(dir); err != nil {
		dir, limit = "/sys/fs/cgroup", "memory.max"
	}
	dir = filepath.Join(dir, "safevma-region-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("no memory cgroup can be made: ", err)
	}
	t.Cleanup(func() {
		for range 100 { // what was in it is ending
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s stays", dir)
	})
	if err := os.WriteFile(filepath.Join(dir, limit), []byte(strconv.Itoa(pressureLimit)), 0); err != nil {
		t.Skip("its memory can't be limited: ", err)
	}
	return func(pid int) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// pressed starts a process that begins its work in the cgroup.
func pressed(t *testing.T, role, dir string, enter func(int)) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestPressed$")
	cmd.Env = append(os.Environ(), pressureRole+"="+role)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	enter(cmd.Process.Pid)
	in.Close() // begin
	return cmd, &out
}

func TestPressed(t *testing.T) {
	role := os.Getenv(pressureRole)
	if role == "" {
		return // it is for another test
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	if role == "neighbour" {
		fillCache(t)
	}
	r := mapped(t, pressureSize, region.Resident())
	ordinary := mappedFile(t, "ordinary")
	runtime.LockOSThread()
	var times [2][]time.Duration
	for i := range times { // touched before, so that it does not fault
		times[i] = make([]time.Duration, pressureRounds*pressureSize/4096)
		for j := range times[i] {
			times[i][j] = 1
		}
		times[i] = times[i][:0]
	}
	var faults [2]int64
	for range pressureRounds {
		for i, b := range [2][]byte{r.Bytes(), ordinary} {
			faults[i] += accessed(t, b, &times[i])
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i, name := range [2]string{"resident", "ordinary"} {
		slices.Sort(times[i])
		at := func(of int) time.Duration { return times[i][(len(times[i])-1)*of/1000] }
		fmt.Printf("%s %d faults; access to a page: median %s, p99 %s, p99.9 %s, max %s\n", name, faults[i], at(500), at(990), at(999), at(1000))
	}
}

// fillCache reads more than the cgroup holds, again and again.
func fillCache(t *testing.T) {
	name := "cache"
	chunk := make([]byte, 1<<20)
	for range 4 * pressureLimit / len(chunk) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(chunk)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for {
		f, err := os.Open(name)
		if err != nil {
			return // the directory is gone
		}
		for err == nil {
			_, err = f.Read(chunk)
		}
		f.Close()
	}
}

// mappedFile is what most memory of a program is: pages of a file.
func mappedFile(t *testing.T, name string) []byte {
	t.Helper()
	if err := os.WriteFile(name, make([]byte, pressureSize), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, pressureSize, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// accessed reads each page, notes how long that took, and returns how many faults it had.
func accessed(t *testing.T, b []byte, times *[]time.Duration) int64 {
	t.Helper()
	before := threadFaults(t)
	for at := 0; at < len(b); at += 4096 {
		begin := time.Now()
		peek(b, at)
		*times = append(*times, time.Since(begin))
	}
	return threadFaults(t) - before
}

func threadFaults(t *testing.T) int64 {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD
	var use syscall.Rusage
	if err := syscall.Getrusage(thread, &use); err != nil {
		t.Fatal(err)
	}
	return use.Minflt + use.Majflt
}

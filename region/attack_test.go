package region_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

const victimOf = "SAFEVMA_REGION_VICTIM"

// victims are what a victim process has, one page each, written as mark says.
var victims = []struct {
	name    string
	options []region.Option
}{
	{"ordinary", nil},
	{"secret", []region.Option{region.Secret()}},
	{"read-only", []region.Option{region.ReadOnly(func(b []byte) error { mark(b, "read-only"); return nil })}},
	{"not dumped", []region.Option{region.NoDump()}},
}

// mark fills memory with what is nowhere else: neither in the program nor in the parent's messages.
func mark(b []byte, name string) {
	x := uint32(2166136261)
	for _, c := range []byte(name) {
		x = (x ^ uint32(c)) * 16777619
	}
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
}

func TestVictim(t *testing.T) {
	how := os.Getenv(victimOf)
	if how == "" {
		return // it is for other tests
	}
	for _, v := range victims {
		r, err := region.Map(4096, v.options...)
		if errors.Is(err, region.ErrUnsupported) {
			fmt.Println("address 0")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if v.name != "read-only" {
			mark(r.Bytes(), v.name)
		}
		fmt.Printf("address %d\n", address(r.Bytes()))
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	if how == "dump" {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err == nil {
			limit.Cur = limit.Max
			_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
		}
		crash()
	}
}

// startVictim returns a process, where its memory is by name, and what ends its wait.
func startVictim(t *testing.T, how, dir string) (cmd *exec.Cmd, at map[string]uint64, goOn func()) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimOf+"="+how)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
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
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	at = map[string]uint64{}
	lines := bufio.NewReader(out)
	for _, v := range victims {
		var addr uint64
		line, err := lines.ReadString('\n')
		if _, scanErr := fmt.Sscanf(line, "address %d", &addr); err != nil || scanErr != nil {
			t.Fatal(line, err, scanErr)
		}
		at[v.name] = addr
	}
	return cmd, at, func() { in.Close() }
}

// attacks come from another process. They are made on ordinary memory first, and must succeed.
var attacks = []struct {
	name string
	do   func(pid int, addr uint64) error
	want map[string]syscall.Errno // by the victim's name
}{
	{"process_vm_readv", func(pid int, addr uint64) error {
		_, err := sys.ProcessVMRead(pid, make([]byte, 8), addr)
		return err
	}, map[string]syscall.Errno{"secret": syscall.EFAULT}},
	{"process_vm_writev", func(pid int, addr uint64) error {
		_, err := sys.ProcessVMWrite(pid, []byte{1}, addr)
		return err
	}, map[string]syscall.Errno{"secret": syscall.EFAULT, "read-only": syscall.EFAULT}},
	{"read of /proc/PID/mem", func(pid int, addr uint64) error {
		return mem(pid, func(f *os.File) error { _, err := f.ReadAt(make([]byte, 8), int64(addr)); return err })
	}, map[string]syscall.Errno{"secret": syscall.EIO}},
	{"write to /proc/PID/mem", func(pid int, addr uint64) error {
		return mem(pid, func(f *os.File) error { _, err := f.WriteAt([]byte{1}, int64(addr)); return err })
	}, map[string]syscall.Errno{"secret": syscall.EIO, "read-only": syscall.EIO}},
	{"PTRACE_PEEKDATA", func(pid int, addr uint64) error {
		return traced(pid, func() error { _, err := syscall.PtracePeekData(pid, uintptr(addr), make([]byte, 8)); return err })
	}, map[string]syscall.Errno{"secret": syscall.EIO}},
	{"PTRACE_POKEDATA", func(pid int, addr uint64) error {
		return traced(pid, func() error { _, err := syscall.PtracePokeData(pid, uintptr(addr), make([]byte, 8)); return err })
	}, map[string]syscall.Errno{"secret": syscall.EIO, "read-only": syscall.EIO}},
}

func mem(pid int, do func(*os.File) error) error {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(f)
}

func traced(pid int, do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		return err
	}
	defer syscall.PtraceDetach(pid)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	return do()
}

func TestAttacks(t *testing.T) {
	victim, at, _ := startVictim(t, "wait", "/")
	for _, a := range attacks {
		if err := a.do(victim.Process.Pid, at["ordinary"]); err != nil {
			t.Logf("%s is not possible here at all: %v", a.name, err)
			continue
		}
		for name, want := range a.want {
			if at[name] == 0 {
				continue // not supported here
			}
			if err := a.do(victim.Process.Pid, at[name]); !errors.Is(err, want) {
				t.Errorf("%s of %s memory: %v, want %v", a.name, name, err, want)
			}
		}
	}
}

// A core dump of a crashed process has its ordinary memory, and not what is to be left out.
func TestCoreDump(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's shadow makes a core dump of gigabytes")
	}
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.ContainsAny(string(pattern), "|/@") {
		t.Skipf("core dumps go elsewhere: %q %v", pattern, err)
	}
	dir := t.TempDir()
	victim, at, goOn := startVictim(t, "dump", dir)
	goOn()
	_ = victim.Wait()
	cores, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(cores) != 1 {
		t.Skipf("no core dump here: %v %v", cores, err)
	}
	core, err := os.ReadFile(cores[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range victims {
		want := make([]byte, 64)
		mark(want, v.name)
		found := bytes.Contains(core, want)
		if left := v.name == "secret" || v.name == "not dumped"; at[v.name] != 0 && found == left {
			t.Errorf("%s memory is in the core dump: %v", v.name, found)
		}
	}
}

// What changes a mapping is refused on a sealed region, and done on ordinary memory.
func TestSealedMapping(t *testing.T) {
	sealed := mapped(t, 4096, region.Sealed(), region.Guarded())
	const readWrite = sys.ProtRead | sys.ProtWrite
	for name, change := range map[string]func(page []byte) error{
		"munmap":             sys.Munmap,
		"mprotect":           func(page []byte) error { return sys.Mprotect(page, sys.ProtRead) },
		"mprotect, the same": func(page []byte) error { return sys.Mprotect(page, readWrite) },
		"mmap over it": func(page []byte) error {
			return sys.MmapAt(page, readWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
		},
		"mremap, bigger": func(page []byte) error { _, err := sys.Mremap(page, 8192, sys.MremapMaymove, 0); return err },
	} {
		ordinary, err := sys.Mmap(4096, readWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(ordinary); err != nil {
			t.Errorf("%s of ordinary memory: %v", name, err)
		}
		if err := change(sealed.Bytes()); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s of sealed memory: %v, want EPERM", name, err)
		}
	}
	if err := sealed.Check(); err != nil {
		t.Error(err)
	}
}

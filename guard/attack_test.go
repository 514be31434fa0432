package guard_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/minimal"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab"
)

// run runs an attack, under profiles or under none, and returns what it wrote.
func run(t *testing.T, a *attack, profiles string, without ...guard.Rule) string {
	t.Helper()
	exe := victim(t)
	cmd := exec.Command(exe)
	if profiles != "" {
		cmd = launcher(profiles, without, exe)
	}
	cmd.Env = append(cmd.Environ(), attackEnv+"="+a.name)
	proc, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	cmd.ExtraFiles = append(make([]*os.File, inheritedFD-3), proc)
	switch a.name {
	case "working-directory":
		cmd.Dir = inTmp(t)
	case "memfd-given":
		cmd.Stdin = given(t, programInMemfd(t))
	case "folder-given":
		cmd.Stdin = given(t, opened(t, inTmp(t), os.O_RDONLY))
	case "child-unreadable":
		ofNobody(t, filepath.Join(filepath.Dir(exe), otherName+unreadable))
	case "inherited-file":
		cmd.Stdin = opened(t, filepath.Join(inTmp(t), "file"), os.O_RDWR|os.O_CREATE)
	}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s under %q: %v\n%s", a.name, profiles, err, problems.String())
	}
	return strings.TrimSpace(out.String())
}

// inTmp makes a folder in /tmp, wherever tests have theirs.
func inTmp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "safevma-attack-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func opened(t *testing.T, name string, how int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, how, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// programInMemfd is a program in a memfd, open for reading: nobody executes what is open for writing.
func programInMemfd(t *testing.T) *os.File {
	t.Helper()
	w, err := sys.MemfdCreate("given", sys.MfdExec)
	if errors.Is(err, syscall.EINVAL) { // before Linux 6.3
		w, err = sys.MemfdCreate("given", 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := copySmall(w); err != nil {
		t.Fatal(err)
	}
	return opened(t, fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_RDONLY)
}

// given is a socket over which a descriptor comes.
func given(t *testing.T, f *os.File) *os.File {
	t.Helper()
	ours, theirs, err := sys.SocketPair("given")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	if err := sys.SendDescriptor(ours, f); err != nil {
		t.Fatal(err)
	}
	return theirs
}

// victim is a copy of this test binary where programs may be: under the rules nothing in folders for
// temporary files is executed.
func victim(t *testing.T) string {
	t.Helper()
	if copied != "" {
		return copied
	}
	lab.MemoryController(t) // for the rule about cgroups
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	cache, _ := os.UserCacheDir()
	for _, folder := range []string{".", cache, os.TempDir()} {
		dir, err := os.MkdirTemp(folder, "attack-")
		if err != nil {
			continue
		}
		if dir, err = filepath.Abs(dir); err != nil {
			t.Fatal(err)
		}
		if temporary(dir) {
			os.Remove(dir)
			continue
		}
		copied = filepath.Join(dir, "victim")
		if err := errors.Join(os.WriteFile(copied, text, 0o755), os.WriteFile(filepath.Join(dir, otherName), minimal.Program(minimal.PlainStack), 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		return copied
	}
	t.Skip("there is no folder to put a program into, but those for temporary files")
	return ""
}

// temporary reports whether a folder is below one of which profiles execute nothing.
func temporary(dir string) bool {
	for _, p := range guard.Builtin() {
		for _, f := range p.NoExecFolders {
			if strings.HasPrefix(dir+"/", f+"/") {
				return true
			}
		}
	}
	return false
}

var copied string

// other is a small program beside the victim, for attacks on another process and by one.
func other() *exec.Cmd { return exec.Command(filepath.Join(filepath.Dir(os.Args[0]), otherName)) }

const otherName = "other"

// unreadable ends the name of the same program as a file that only its owner reads, and anybody executes.
const unreadable = "-unreadable"

func ofNobody(t *testing.T, name string) {
	t.Helper()
	const nobody = 65534
	if err := os.WriteFile(name, minimal.Program(minimal.PlainStack), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// leftOut are rules that can't be had here: by an ordinary user, or on this kernel, as an experiment says.
func leftOut() (rules []guard.Rule) {
	if _, err := sys.Prctl(sys.PrGetMDWE); errors.Is(err, syscall.EINVAL) {
		rules = append(rules, guard.MDWE)
	}
	f, err := sys.MemfdCreate("known", sys.MfdNoexecSeal)
	if err == nil {
		f.Close()
	}
	if errors.Is(err, syscall.EINVAL) || os.Geteuid() != 0 {
		rules = append(rules, guard.MemfdNoExec)
	}
	if os.Geteuid() == 0 {
		return rules
	}
	rules = append(rules, guard.MemoryGroup)
	const most = 64 << 20 // what this test binary maps
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(sys.LimitMemlock, &limit); err != nil || limit.Cur < most {
		rules = append(rules, guard.Lock)
	}
	return rules
}

// TestAttacks: each attack works where no rule keeps it, and under wx and safety ends as it should. Of
// kernels in the matrix it ends under each profile as it says there.
func TestAttacks(t *testing.T) {
	if raceEnabled {
		t.Skip("what is tried is another process, of which the race detector sees nothing")
	}
	part := recorded(t)
	if part != nil {
		for _, p := range profiles {
			if got := lacking(t, p); !maps.Equal(got, part.Lacking[p]) {
				t.Fatalf("what %q lacks here: %v, want %v", p, got, part.Lacking[p])
			}
		}
	}
	for i := range attacks {
		a := &attacks[i]
		t.Run(a.name, func(t *testing.T) {
			if a.root && os.Geteuid() != 0 {
				t.Skip("only root can do it at all")
			}
			if part != nil {
				for _, p := range profiles {
					if got, want := run(t, a, p, part.without(p)...), part.Attacks[a.name][p]; got != want {
						t.Errorf("under %q: %s, want %s", p, got, want)
					}
				}
				return
			}
			if got := run(t, a, ""); got != "open" {
				if slices.Contains([]string{"ENOEXEC", "ENOSYS", "EPERM"}, got) {
					t.Skipf("it can't be done here without rules either: %s", got)
				}
				t.Fatalf("without rules: %s", got)
			}
			for _, p := range []string{"wx", "safety"} {
				if got := run(t, a, p, leftOut()...); got != a.closed {
					t.Errorf("under %s: %s, want %s", p, got, a.closed)
				}
			}
		})
	}
}

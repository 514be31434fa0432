package guard_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/sys"
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
		cmd.Dir = t.TempDir()
	case "memfd-given":
		cmd.Stdin = given(t)
	}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s under %q: %v\n%s", a.name, profiles, err, problems.String())
	}
	return strings.TrimSpace(out.String())
}

// given is a socket over which a program in a memfd, open for reading, comes.
func given(t *testing.T) *os.File {
	t.Helper()
	w, err := sys.MemfdCreate("given", sys.MfdExec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := copyTrue(w); err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd())) // nobody executes what is open for writing
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ours, theirs, err := sys.SocketPair("given")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	if err := sys.SendDescriptor(ours, r); err != nil {
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
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	cache, _ := os.UserCacheDir()
	for _, folder := range []string{".", cache} {
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
		if err := errors.Join(os.WriteFile(copied, text, 0o755), os.Chmod(dir, 0o755)); err != nil {
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

// leftOut are rules that an ordinary user can't have.
func leftOut() []guard.Rule {
	if os.Geteuid() == 0 {
		return nil
	}
	rules := []guard.Rule{guard.MemfdNoExec, guard.MemoryGroup}
	const most = 64 << 20 // what this test binary maps
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(sys.LimitMemlock, &limit); err != nil || limit.Cur < most {
		rules = append(rules, guard.Lock)
	}
	return rules
}

// TestAttacks: each attack works where no rule keeps it, and under wx and safety ends as it should.
func TestAttacks(t *testing.T) {
	if raceEnabled {
		t.Skip("what is tried is another process, of which the race detector sees nothing")
	}
	for i := range attacks {
		a := &attacks[i]
		t.Run(a.name, func(t *testing.T) {
			if a.root && os.Geteuid() != 0 {
				t.Skip("only root can do it at all")
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

const matrix = "../docs/run-matrix.md"

// TestMatrix keeps the table of attacks and profiles, which -update makes anew.
func TestMatrix(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the table is of root")
	}
	if !*update {
		text, err := os.ReadFile(matrix)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attacks {
			if !strings.Contains(string(text), "\n| "+a.name+" | "+a.does+" | ") {
				t.Errorf("%s has no line for %q: run the test with -update", matrix, a.name)
			}
		}
		return
	}
	profiles := []string{"", "wx", "secrets", "deterministic", "safety"}
	var b strings.Builder
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	fmt.Fprintf(&b, matrixHead, version)
	for i := range attacks {
		fmt.Fprintf(&b, "| %s | %s |", attacks[i].name, attacks[i].does)
		for _, p := range profiles {
			got := run(t, &attacks[i], p)
			if got != "open" {
				got = "closed: " + got
			}
			fmt.Fprintf(&b, " %s |", got)
		}
		b.WriteByte('\n')
	}
	if err := os.WriteFile(matrix, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

const matrixHead = `# Attacks under the profiles of safevma run

What a program tries, and what comes of it, as root on Linux %s. Written by
` + "`go test ./guard -run Matrix -update`" + ` from a run; a test holds each line of wx and safety.
*Closed* says by which errno or signal, before the call does anything.

| attack | what it does | no profile | wx | secrets | deterministic | safety |
|---|---|---|---|---|---|---|
`

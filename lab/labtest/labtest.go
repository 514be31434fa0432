// Package labtest lets tests on the host drive lab machines: start one, run a program in
// it, cut its power, and look at what is left.
//
// Tests that want to run inside a machine don't need it: they are run there by
// "go test -exec", and use package lab.
package labtest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/debian"
	"github.com/safevma/safevma/lab/vm"
	"github.com/safevma/safevma/lab/wire"
)

// Required is the environment variable that makes a lab that can't be had a failure
// instead of a skip, for CI. With it, a kernel that is not in the cache is fetched.
const Required = "SAFEVMA_LAB_REQUIRED"

// Kernel is the series that [Lab] makes sure is there.
const Kernel = "6.12"

// Runner is the package of the lab's command, which is the init of its machines too.
const Runner = "github.com/safevma/safevma/cmd/safevma-lab"

// Lab returns a lab, or skips the test with the reason why there is none. It uses the
// kernels and states of the user.
func Lab(t testing.TB) *vm.Lab {
	t.Helper()
	lab, err := find(t)
	if err == nil {
		return lab
	}
	if os.Getenv(Required) != "" {
		t.Fatal(err)
	}
	t.Skipf("no lab: %v", err)
	return nil
}

func find(t testing.TB) (*vm.Lab, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return nil, fmt.Errorf("qemu-system-x86_64 is not installed: \"make lab-deps\" does it")
	}
	lab := &vm.Lab{Dir: filepath.Join(cache, "safevma-lab"), Say: t.Logf}
	get := func() error { _, err := lab.Kernels().Cached(Kernel, "amd64"); return err }
	if os.Getenv(Required) != "" {
		get = func() error { _, err := lab.Kernels().Get(context.Background(), Kernel, "amd64"); return err }
	}
	if err := get(); errors.Is(err, debian.ErrNotCached) {
		return nil, fmt.Errorf("%w: \"make lab-kernels\" fetches it", err)
	} else if err != nil {
		return nil, err
	}
	runner := Build(t, Runner)
	lab.Init = func(context.Context, string) (string, error) { return runner, nil }
	return lab, nil
}

var (
	mu    sync.Mutex
	built = map[string]string{} // protected by mu; programs by flags and package
	dir   string                // protected by mu; where they are
)

// Main is a TestMain for packages whose tests call [Build] or [Lab]: it removes what was
// built.
func Main(m *testing.M) {
	code := m.Run()
	mu.Lock()
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// Build builds the command in a package, statically, and returns its path. It is built
// once for a test binary. More flags are those of "go build".
func Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	key := strings.Join(append(flags, pkg), " ")
	if path, ok := built[key]; ok {
		return path
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "labtest-*"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, fmt.Sprint(len(built), "-", filepath.Base(pkg)))
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	built[key] = path
	return path
}

// Start starts a machine, whose power is cut at the end of the test at the latest.
func Start(t testing.TB, lab *vm.Lab, c vm.Config) *vm.Machine {
	t.Helper()
	if c.Kernel == "" {
		c.Kernel = Kernel
	}
	m, err := lab.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Cut)
	return m
}

// Job returns a job that runs a program with arguments; its standard output and error go
// to the returned builder.
func Job(program string, args ...string) (vm.Job, *strings.Builder) {
	var out strings.Builder
	guest := "/bin/" + filepath.Base(program)
	return vm.Job{
		Job: wire.Job{Path: guest, Args: args, Dir: "/tmp", Env: []string{"PATH=/bin", "HOME=/root", "TMPDIR=/tmp"}},
		Files: func(a *tar.Writer) error {
			content, err := os.ReadFile(program)
			if err != nil {
				return err
			}
			header := &tar.Header{Typeflag: tar.TypeReg, Name: guest, Mode: 0o755, Size: int64(len(content)), ModTime: time.Now()}
			if err := a.WriteHeader(header); err != nil {
				return err
			}
			_, err = a.Write(content)
			return err
		},
		Stdout: &out, Stderr: &out,
	}, &out
}

// Run runs a program in a machine and returns what it printed. It fails the test unless
// the program exits with status 0.
func Run(t testing.TB, m *vm.Machine, program string, args ...string) string {
	t.Helper()
	job, out := Job(program, args...)
	answer, err := m.Run(t.Context(), job)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	if answer != (wire.Answer{}) {
		t.Fatalf("%s %s: %+v\n%s", filepath.Base(program), strings.Join(args, " "), answer, out)
	}
	return out.String()
}

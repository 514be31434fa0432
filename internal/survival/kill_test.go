package survival

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/labtest"
	"github.com/safevma/safevma/pmem/medium"
)

// asProcess makes the test binary the process that is killed; it has its [Config].
const asProcess = "SAFEVMA_SURVIVAL_PROCESS"

func TestMain(m *testing.M) {
	if argument := os.Getenv(asProcess); argument != "" {
		if Main(context.Background(), argument, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if argument := os.Getenv(asStray); argument != "" {
		fmt.Println(strayProcess(argument))
		os.Exit(0)
	}
	labtest.Main(m)
}

// kills is how often a process is killed on each file system.
func kills() int {
	switch {
	case os.Getenv("SAFEVMA_NIGHTLY") != "":
		return 1000
	case testing.Short():
		return 15
	}
	return 60
}

// places are the file systems. The stores that persistent memory gets are tried on tmpfs, too.
var places = []struct {
	name string
	kind medium.Kind
	dir  func(t *testing.T) string
}{
	{"ordinary file", medium.PageCache, func(t *testing.T) string { return t.TempDir() }},
	{"tmpfs", medium.Volatile, inMemory},
	{"tmpfs as DAX", medium.DAX, inMemory},
}

func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "safevma-survival-")
	if err != nil {
		t.Skipf("no folder in /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// victim is a pool whose processes are killed.
type victim struct {
	config   Config
	progress Progress
	kills    int
	replayed int // openings that had something to do
	opening  int // kills while it was opened
}

func newVictim(t *testing.T, dir string, kind medium.Kind) *victim {
	t.Helper()
	v := &victim{config: Config{File: filepath.Join(dir, "pool"), Medium: kind.String(), AssumeDAX: kind == medium.DAX}}
	p, err := v.config.Open()
	if err != nil {
		t.Fatal(err)
	}
	found := p.Info().Medium
	if _, err := newWork(t.Context(), p, Config{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if found.Kind != kind && kind != medium.Volatile { // a TMPDIR in memory, a CPU without cache line write-back
		t.Skipf("%s is %v: %s", dir, found.Kind, found.Found)
	}
	return v
}

// start starts a process.
func (v *victim) start(ctx context.Context) (*exec.Cmd, io.Reader, error) {
	v.config.Seed = rand.Uint64()
	argument, err := json.Marshal(v.config)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"="+string(argument))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, out, cmd.Start()
}

// kill lets a process work, and kills it: a random time after its first event, or after its start,
// while it opens the pool. What it reported is in the pipe, and outlives it.
func (v *victim) kill(ctx context.Context, afterStart bool, within time.Duration) error {
	cmd, out, err := v.start(ctx)
	if err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill() // SIGKILL; once more does nothing
	var timer *time.Timer
	begin := func() {
		if timer == nil {
			timer = time.AfterFunc(rand.N(within), func() { cmd.Process.Kill() })
		}
	}
	if afterStart {
		begin()
	}
	if err := v.progress.Read(out, begin); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		return fmt.Errorf("it was to be killed, and ended before: %w", err)
	}
	v.kills++
	return nil
}

// check opens the pool, and looks at it.
func (v *victim) check(ctx context.Context) (r Report, err error) {
	p, err := v.config.Open()
	if err != nil {
		return r, err
	}
	defer p.Close()
	if r, err = Check(ctx, p, &v.progress, true); err != nil {
		return r, err
	}
	if r.Replayed > 0 {
		v.replayed++
	}
	return r, p.Close()
}

// round kills a process, one time in four a second one while it recovers, and looks.
func (v *victim) round(ctx context.Context) (Report, error) {
	if err := v.kill(ctx, false, 40*time.Millisecond); err != nil {
		return Report{}, err
	}
	if rand.IntN(4) == 0 {
		if err := v.kill(ctx, true, 25*time.Millisecond); err != nil {
			return Report{}, fmt.Errorf("while it opens the pool: %w", err)
		}
		v.kills--
		v.opening++
	}
	return v.check(ctx)
}

// A pool whose process is killed at any moment has all that it acknowledged, and nothing by halves.
func TestKills(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			v := newVictim(t, place.dir(t), place.kind)
			var r Report
			for v.kills < kills() {
				var err error
				if r, err = v.round(t.Context()); err != nil {
					t.Fatalf("after kill %d: %v", v.kills, err)
				}
			}
			t.Logf("%d kills, and %d while the pool was opened; %d openings replayed; %d transactions acknowledged; at the end %+v",
				v.kills, v.opening, v.replayed, v.progress.Sum(), r)
			if v.replayed == 0 {
				t.Error("no opening had anything to replay: these kills show nothing")
			}
		})
	}
}

// The control: a process that acknowledges before Update returns is found out.
func TestEarlyAcknowledgementIsFound(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			v := newVictim(t, place.dir(t), place.kind)
			v.config.EarlyAcknowledgement = true
			for range 50 {
				_, err := v.round(t.Context())
				var lost *LostError
				if errors.As(err, &lost) {
					t.Logf("kill %d: %v", v.kills, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Errorf("%d kills, and no transaction that was acknowledged was missing", v.kills)
		})
	}
}

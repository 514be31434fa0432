package survival

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/labtest"
	"github.com/safevma/safevma/lab/vm"
	"github.com/safevma/safevma/pmem/medium"
)

const worker = "github.com/safevma/safevma/internal/survival/worker"

// cuts is how often the power is cut on each file system. SAFEVMA_CUTS asks for more.
func cuts() int {
	if n, err := strconv.Atoi(os.Getenv("SAFEVMA_CUTS")); err == nil {
		return n
	}
	if testing.Short() {
		return 2
	}
	return 6
}

// patient is a pool in machines whose power is cut. What a machine said before the cut is what
// is known: of starts the last ones may have been on their way.
type patient struct {
	config   vm.Config
	process  Config
	program  string
	progress Progress
	cuts     int
}

// boot starts a machine in which the process looks at the pool, and works until the power is cut, a
// random time after its first event.
func (p *patient) boot(t *testing.T) error {
	t.Helper()
	c := p.process
	c.Seed = rand.Uint64()
	if p.cuts > 0 {
		c.Progress = &p.progress
	}
	argument, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	config := p.config
	config.Fresh = c.CheckOnly
	m := labtest.Start(t, labtest.Lab(t), config)
	defer m.Cut()
	job, _ := labtest.Job(p.program, string(argument))
	r, w := io.Pipe()
	job.Stdout = w
	read := make(chan error)
	go func() {
		var once bool
		read <- p.progress.Read(r, func() {
			if !once && !c.CheckOnly {
				once = true
				time.AfterFunc(rand.N(1500*time.Millisecond), m.Cut)
			}
		})
		io.Copy(io.Discard, r)
	}()
	_, err = m.Run(t.Context(), job)
	w.Close()
	if said := <-read; said != nil {
		return said
	}
	if c.CheckOnly {
		return err
	}
	if p.cuts++; !errors.Is(err, vm.ErrCut) {
		t.Fatalf("cut %d: %v", p.cuts, err)
	}
	return nil
}

// survive cuts the power again and again, and looks once more at the end, in a machine that
// boots afresh.
func (p *patient) survive(t *testing.T) {
	t.Helper()
	n := cuts()
	for p.cuts < n {
		if err := p.boot(t); err != nil {
			t.Fatalf("after cut %d: %v", p.cuts, err)
		}
	}
	p.process.CheckOnly = true
	if err := p.boot(t); err != nil {
		t.Fatalf("after cut %d: %v", p.cuts, err)
	}
	replayed := 0
	for _, r := range p.progress.Reports {
		if r.Replayed > 0 {
			replayed++
		}
	}
	t.Logf("%d cuts, %d looks at the pool, of which %d replayed; %d transactions acknowledged; at the end %+v", p.cuts,
		len(p.progress.Reports), replayed, p.progress.Sum(), p.progress.Reports[len(p.progress.Reports)-1])
	if len(p.progress.Reports) != p.cuts || replayed == 0 || p.progress.Sum() == 0 {
		t.Error("these cuts show nothing")
	}
}

func onDisk(t *testing.T, fs string) *patient {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	if err := labtest.Lab(t).NewDisk(disk, fs); err != nil {
		t.Fatal(err)
	}
	return &patient{config: vm.Config{Disks: []vm.Storage{{Kind: fs, Path: disk}}}, program: labtest.Build(t, worker),
		process: Config{File: "/lab/disk0/pool", Medium: medium.PageCache.String()}}
}

// After power cuts, a pool on an ordinary file has all that was acknowledged.
func TestPowerCutsOnDisk(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			if testing.Short() && fs != "ext4" {
				t.Skip("short")
			}
			onDisk(t, fs).survive(t)
		})
	}
}

// On persistent memory too. The mappings are MAP_SYNC, says the kernel. (That the emulator can't
// lose a store that was not flushed, docs/lab.md says.)
func TestPowerCutsOnDAX(t *testing.T) {
	nvdimm := filepath.Join(t.TempDir(), "nvdimm")
	if err := labtest.Lab(t).NewNVDIMM(nvdimm, "ext4"); err != nil {
		t.Fatal(err)
	}
	p := &patient{config: vm.Config{NVDIMMs: []vm.Storage{{Kind: "ext4", Path: nvdimm}}}, program: labtest.Build(t, worker),
		process: Config{File: "/lab/nvdimm0/pool", Medium: medium.DAX.String()}}
	p.survive(t)
}

// The control: a process that was built without the sync of a commit loses some.
func TestPowerCutsWithoutSync(t *testing.T) {
	labtest.Lab(t)
	program := labtest.Build(t, worker, "-overlay", withoutSync(t))
	for i := range 10 {
		p := onDisk(t, "ext4")
		p.program = program
		err := p.boot(t)
		if err == nil {
			p.process.CheckOnly = true
			err = p.boot(t)
		}
		if err != nil && strings.Contains(err.Error(), "acknowledged transaction") {
			t.Logf("cut %d: %v", i+1, err)
			return
		}
		t.Logf("cut %d: %v", i+1, err)
	}
	t.Error("nothing that was acknowledged was lost: these cuts prove nothing")
}

// withoutSync returns an overlay for "go build" in which a write that should be durable on return
// is an ordinary one. No source of the product has such a switch.
func withoutSync(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../sys/durable.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const sync = "parts, offset, unix.RWF_DSYNC)"
	if strings.Count(string(text), sync) != 1 {
		t.Fatalf("%s does not say %q once", source, sync)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, "durable.go"), filepath.Join(dir, "overlay.json")
	replace := fmt.Sprintf(`{"Replace": {%q: %q}}`, source, broken)
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), sync, "parts, offset, 0)", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, []byte(replace), 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

package vm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab/labtest"
	"github.com/safevma/safevma/lab/vm"
)

// cuts is how often the power is cut.
func cuts() int {
	if os.Getenv("SAFEVMA_NIGHTLY") != "" {
		return 50
	}
	return 3
}

// After a power cut, what was synced to a disk is there, and what was not is lost. The
// second half is the control: if nothing is ever lost, no test of durability can fail
// here.
func TestPowerCutOnDisk(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			lab := labtest.Lab(t)
			disk := filepath.Join(t.TempDir(), "disk")
			if err := lab.NewDisk(disk, fs); err != nil {
				t.Fatal(err)
			}
			config := vm.Config{Disks: []vm.Storage{{Kind: fs, Path: disk}}}
			kept, lost := cutRepeatedly(t, lab, config, "durable", "/lab/disk0")
			t.Logf("%s: %d power cuts: %d synced files kept, %d files that were not synced lost", fs, cuts(), kept, lost)
			if kept != cuts() {
				t.Errorf("%d of %d synced files are there and whole", kept, cuts())
			}
			if lost == 0 {
				t.Error("nothing that was not synced was lost: these cuts prove nothing")
			}
		})
	}
}

// On a DAX file system, what was written through a MAP_SYNC mapping is there without any
// sync, its metadata too. The control is an ordinary mapping: its stores are kept by the
// emulator, but the file's metadata is lost with the page cache.
func TestPowerCutOnDAX(t *testing.T) {
	lab := labtest.Lab(t)
	nvdimm := filepath.Join(t.TempDir(), "nvdimm")
	if err := lab.NewNVDIMM(nvdimm, "ext4"); err != nil {
		t.Fatal(err)
	}
	config := vm.Config{NVDIMMs: []vm.Storage{{Kind: "ext4", Path: nvdimm}}}
	kept, lost := cutRepeatedly(t, lab, config, "dax", "/lab/nvdimm0")
	t.Logf("%d power cuts: %d files of MAP_SYNC mappings kept, %d of ordinary ones lost", cuts(), kept, lost)
	if kept != cuts() {
		t.Errorf("%d of %d files of MAP_SYNC mappings are there and whole", kept, cuts())
	}
	if lost == 0 {
		t.Error("no file of an ordinary mapping was lost: these cuts prove nothing")
	}
}

// cutRepeatedly lets a program write, cuts the power at its mark, and looks in a machine
// of its own what is there. It returns how many synced files were kept and how many of
// the others were lost. The last cut is looked at by a machine that boots afresh.
func cutRepeatedly(t *testing.T, lab *vm.Lab, config vm.Config, verb, dir string) (kept, lost int) {
	t.Helper()
	inside, n := labtest.Build(t, program), cuts()
	for i := range n {
		m := labtest.Start(t, lab, config)
		job, out := labtest.Job(inside, verb, dir, fmt.Sprint(i))
		job.Mark = func(string) { m.Cut() }
		if _, err := m.Run(t.Context(), job); !errors.Is(err, vm.ErrCut) {
			t.Fatalf("cut %d: %v\n%s", i, err, out)
		}
		again := config
		again.Fresh = i == n-1
		m = labtest.Start(t, lab, again)
		there := strings.Fields(labtest.Run(t, m, inside, "list", dir))
		m.Cut()
		if slices.Contains(there, fmt.Sprintf("synced-%d", i)) {
			kept++
		}
		if !slices.Contains(there, fmt.Sprintf("unsynced-%d", i)) {
			lost++
		}
	}
	return kept, lost
}

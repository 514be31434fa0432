package vm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/labtest"
	"github.com/safevma/safevma/lab/vm"
)

// Machines that go on from one state share what the kernel knew when it was saved. Its
// clock and its random numbers must not be among that.
func TestStatesDiffer(t *testing.T) {
	lab := labtest.Lab(t)
	inside := labtest.Build(t, program)
	seen := map[string]bool{}
	for range 3 {
		m := labtest.Start(t, lab, vm.Config{})
		if !m.Resumed {
			t.Error("the machine did not go on from a saved state")
		}
		seen[labtest.Run(t, m, inside, "random")] = true
		before := time.Now().Unix()
		inGuest, err := strconv.ParseInt(strings.TrimSpace(labtest.Run(t, m, inside, "clock")), 10, 64)
		if after := time.Now().Unix(); err != nil || inGuest < before-2 || inGuest > after+2 {
			t.Errorf("the guest's clock says %d, between %d and %d outside: %v", inGuest, before, after, err)
		}
		m.Cut()
	}
	if len(seen) != 3 {
		t.Errorf("the random numbers of 3 machines: %v", seen)
	}
}

// A state that was made from other things, or is broken, is made anew.
func TestStateIsRemade(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots a machine four times")
	}
	lab := labtest.Lab(t)
	own := *lab
	own.Dir = t.TempDir()
	if err := os.Symlink(filepath.Join(lab.Dir, "kernels"), filepath.Join(own.Dir, "kernels")); err != nil {
		t.Fatal(err)
	}
	made := 0
	own.Say = func(format string, _ ...any) {
		if strings.Contains(format, "to save its state") {
			made++
		}
	}
	start := func() { labtest.Start(t, &own, vm.Config{MemoryMiB: 512}).Cut() }
	start()
	start()
	if made != 1 {
		t.Errorf("the state was made %d times for two machines", made)
	}
	keys, err := filepath.Glob(filepath.Join(own.Dir, "states", "*", "key"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := os.WriteFile(keys[0], []byte("another kernel"), 0o644); err != nil {
		t.Fatal(err)
	}
	start()
	if made != 2 {
		t.Errorf("after its key changed, the state was made %d times", made)
	}
	for i, name := range []string{"devices", "memory0"} {
		if err := os.Truncate(filepath.Join(filepath.Dir(keys[0]), name), 4096); err != nil {
			t.Fatal(err)
		}
		start()
		if made != 3+i {
			t.Errorf("after its %s was cut, the state was made %d times", name, made)
		}
	}
}

// A second machine on a disk that one writes to is refused.
func TestDiskHasOneMachine(t *testing.T) {
	lab := labtest.Lab(t)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := lab.NewDisk(disk, "ext4"); err != nil {
		t.Fatal(err)
	}
	config := vm.Config{Kernel: labtest.Kernel, Disks: []vm.Storage{{Kind: "ext4", Path: disk}}}
	m := labtest.Start(t, lab, config)
	second := *lab
	second.Say = func(format string, args ...any) { t.Errorf("the second machine: "+format, args...) } // its state is good
	if _, err := second.Start(t.Context(), config); !errors.Is(err, sys.ErrLocked) {
		t.Errorf("a second machine: %v", err)
	}
	m.Cut()
	m = labtest.Start(t, lab, config)
	if err := m.PowerOff(); err != nil {
		t.Errorf("power off: %v", err)
	}
}

// A machine leaves nothing in the folder but what can be used again.
func TestNothingIsLeft(t *testing.T) {
	lab := labtest.Lab(t)
	config := vm.Config{NVDIMMs: []vm.Storage{{Kind: "ext4"}}, Disks: []vm.Storage{{Kind: "ext4"}}}
	labtest.Start(t, lab, config).Cut() // makes what is missing
	before := names(t, lab.Dir)
	m := labtest.Start(t, lab, config)
	m.Cut()
	if after := names(t, lab.Dir); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

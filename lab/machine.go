package lab

import (
	"os"

	"github.com/safevma/safevma/lab/machine"
)

// here returns the lab machine, and whether this is one.
func here(t T) (machine.Machine, bool) {
	t.Helper()
	m, inside, err := machine.Here()
	if err != nil {
		t.Fatalf("is this the lab: %v", err)
	}
	return m, inside
}

// Inside returns the lab machine that the test runs in. Outside it skips the test.
func Inside(t T) machine.Machine {
	t.Helper()
	m, inside := here(t)
	if !inside {
		t.Skipf("needs the lab (make lab)")
	}
	return m
}

// DAX returns a new directory on the first NVDIMM of the lab machine that has a file
// system; it is removed when the test ends. Outside, and on a machine without, it skips
// the test.
func DAX(t T) string {
	t.Helper()
	for _, n := range Inside(t).NVDIMMs {
		if n.Kind == "ext4" || n.Kind == "xfs" {
			return tempDir(t, n.Path)
		}
	}
	t.Skipf("needs a lab machine with an NVDIMM that has a file system")
	return ""
}

// Disk returns a new directory on the first virtio-blk disk of the lab machine that has
// the given file system, ext4 or xfs; it is removed when the test ends. Outside, and on
// a machine without, it skips the test.
func Disk(t T, fs string) string {
	t.Helper()
	for _, d := range Inside(t).Disks {
		if d.FS == fs {
			return tempDir(t, d.Path)
		}
	}
	t.Skipf("needs a lab machine with a disk that has %s", fs)
	return ""
}

func tempDir(t T, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "test-")
	if err != nil {
		t.Fatalf("a directory for the test: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatalf("the directory of the test: %v", err)
		}
	})
	return dir
}

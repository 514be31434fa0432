package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab/machine"
)

// Outside each helper skips; inside it gives what the machine has, and cleans up.
func TestDirectories(t *testing.T) {
	m, inside, err := machine.Here()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // helper → mount point
	for _, n := range m.NVDIMMs {
		if _, ok := want["DAX"]; !ok && (n.Kind == "ext4" || n.Kind == "xfs") {
			want["DAX"] = n.Path
		}
	}
	for _, d := range m.Disks {
		if _, ok := want[d.FS]; !ok {
			want[d.FS] = d.Path
		}
	}
	for name, helper := range map[string]func(T) string{
		"DAX":  DAX,
		"ext4": func(t T) string { return Disk(t, "ext4") },
		"xfs":  func(t T) string { return Disk(t, "xfs") },
	} {
		var fake fakeT
		var dirs [2]string
		ended := fake.do(func() {
			for i := range dirs {
				dirs[i] = helper(&fake)
				if err := os.WriteFile(filepath.Join(dirs[i], "file"), []byte("text"), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
		point, ok := want[name]
		if ended != ok || ok == (fake.skipped != "") || fake.failed != "" {
			t.Errorf("%s: ended %t, %+v; inside %t, the machine has one: %t", name, ended, fake, inside, ok)
		}
		if !ok {
			continue
		}
		if dirs[0] == dirs[1] || filepath.Dir(dirs[0]) != point {
			t.Errorf("%s: %q, want two new ones in %s", name, dirs, point)
		}
		for _, dir := range dirs {
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is there after the test: %v", dir, err)
			}
		}
	}
}

func TestInside(t *testing.T) {
	m, inside, err := machine.Here()
	if err != nil {
		t.Fatal(err)
	}
	var fake fakeT
	var got machine.Machine
	ended := fake.do(func() { got = Inside(&fake) })
	if ended != inside || got.Kernel != m.Kernel || inside == strings.Contains(fake.skipped, "needs the lab") {
		t.Errorf("inside %t: ended %t, %+v, %+v", inside, ended, got, fake)
	}
}

// A directory is made for the test, with its parent as it was afterwards.
func TestTempDir(t *testing.T) {
	parent := t.TempDir()
	var fake fakeT
	if !fake.do(func() {
		dir := tempDir(&fake, parent)
		if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil || filepath.Dir(dir) != parent {
			t.Errorf("%s: %v", dir, err)
		}
	}) {
		t.Errorf("%+v", fake)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	fake = fakeT{}
	if fake.do(func() { tempDir(&fake, filepath.Join(parent, "none")) }) || fake.failed == "" {
		t.Errorf("in a folder that is not there: %+v", fake)
	}
}

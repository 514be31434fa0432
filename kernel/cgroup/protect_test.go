package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// tree makes folders that look like groups: each has files with what the kernel would say.
func tree(t *testing.T, groups map[string]map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, files := range groups {
		dir := filepath.Join(top, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return top
}

func TestFloorOfTree(t *testing.T) {
	group := func(min string) map[string]string {
		return map[string]string{"memory.min": min, "cgroup.procs": "", "cgroup.events": ""}
	}
	root := map[string]string{"cgroup.procs": ""}
	for _, c := range []struct {
		root, slice, own map[string]string
		want             int64
		err              error
	}{
		{root, group("max\n"), group("4096\n"), 4096, nil},
		{root, group("8192\n"), group("max\n"), 8192, nil},
		{root, group("0\n"), group("4096\n"), 0, nil}, // as the groups of systemd are
		{root, group("max\n"), group("max\n"), -1, nil},
		{nil, group("max\n"), group("4096\n"), 0, ErrOutOfSight},
		{group("max\n"), group("max\n"), group("4096\n"), 0, ErrOutOfSight}, // of a container
	} {
		top := tree(t, map[string]map[string]string{".": c.root, "slice": c.slice, "slice/own": c.own})
		if got, err := floor(filepath.Join(top, "slice/own")); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %d, %v", c, got, err)
		}
	}
}

package lab

import "os"

// MemoryController hands the memory controller on to the groups below the root of cgroups,
// inside a machine of the lab. Elsewhere it changes nothing: whoever then can't make a
// group with a limit skips.
func MemoryController(t T) {
	t.Helper()
	if _, inside := here(t); !inside {
		return
	}
	if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		t.Fatalf("the memory controller of the lab: %v", err)
	}
}

// Scratch returns a new directory on a file system whose pages can be reclaimed: on a disk of
// the lab machine, and outside of it where tests have theirs.
func Scratch(t interface {
	T
	TempDir() string
}) string {
	t.Helper()
	if _, inside := here(t); inside {
		return Disk(t, "ext4")
	}
	return t.TempDir()
}

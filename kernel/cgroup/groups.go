package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FS is where the kernel says which hierarchies there are.
type FS struct{ proc string }

// Default is the running kernel's.
func Default() FS { return At("/proc") }

// At reads another proc file system, for tests and copied trees.
func At(proc string) FS { return FS{filepath.Clean(proc)} }

// Ref is a group that is there.
type Ref struct {
	// Path is as /proc/PID/cgroup says it; "/" is the root.
	Path string `json:"path"`
	// Dir is where its files are.
	Dir     string `json:"dir"`
	Version int    `json:"version"`
}

// Groups lists the groups of a hierarchy, parents before children: of the controller of
// version 1, or of version 2 where that is empty. What is mounted is what can be seen: in a
// container, groups below its own. [ErrNoController] where there is no such hierarchy.
func (f FS) Groups(controller string) ([]Ref, error) {
	h, err := f.find(controller)
	if err != nil {
		return nil, err
	}
	var all []Ref
	err = filepath.WalkDir(h.mount, func(dir string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && dir != h.mount { // it was removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			below, err := filepath.Rel(h.mount, dir)
			if err != nil {
				return err
			}
			all = append(all, Ref{Path: filepath.Join(h.root, below), Dir: dir, Version: h.version})
		}
		return nil
	})
	return all, err
}

// find returns the hierarchy of a controller of version 1, or that of version 2.
func (f FS) find(controller string) (hierarchy, error) {
	all, _, err := f.hierarchies("self")
	if err != nil {
		return hierarchy{}, err
	}
	for _, h := range all {
		if controller == "" && h.version == 2 || controller != "" && h.version == 1 && slices.Contains(h.options, controller) {
			return h, nil
		}
	}
	return hierarchy{}, ErrNoController
}

// Of returns the group of a process in a hierarchy, as in [FS.Groups]. Where that is out
// of sight, there is [ErrNoController]. The process may move to another one at any time.
func (f FS) Of(pid int, controller string) (Ref, error) {
	all, own, err := f.hierarchies(strconv.Itoa(pid))
	if err != nil {
		return Ref{}, err
	}
	for _, h := range all {
		if controller == "" && h.version != 2 || controller != "" && (h.version != 1 || !slices.Contains(h.options, controller)) {
			continue
		}
		if dir, ok := h.place(own, controller); ok {
			return Ref{Path: own[controller], Dir: dir, Version: h.version}, nil
		}
	}
	return Ref{}, ErrNoController
}

// MemoryOf returns the group with the memory of a process, of either version.
func (f FS) MemoryOf(pid int) (Ref, error) {
	ref, err := f.Of(pid, "memory")
	if errors.Is(err, ErrNoController) {
		return f.Of(pid, "")
	}
	return ref, err
}

// hierarchies returns what is mounted for the caller, and the groups of a process.
func (f FS) hierarchies(pid string) ([]hierarchy, map[string]string, error) {
	mounts, err := os.Open(filepath.Join(f.proc, "self", "mountinfo"))
	if err != nil {
		return nil, nil, err
	}
	defer mounts.Close()
	all, err := parseMountinfo(mounts)
	if err != nil {
		return nil, nil, err
	}
	groups, err := os.Open(filepath.Join(f.proc, pid, "cgroup"))
	if err != nil {
		return nil, nil, err
	}
	defer groups.Close()
	own, err := parseOwn(groups)
	return all, own, err
}

// Find returns the group with a path, in the hierarchy of version 2 or that of memory.
func (f FS) Find(path string) (Ref, error) {
	path = "/" + strings.TrimPrefix(path, "/")
	for _, controller := range []string{"", "memory"} {
		h, err := f.find(controller)
		if errors.Is(err, ErrNoController) {
			continue
		}
		if err != nil {
			return Ref{}, err
		}
		dir, ok := h.place(map[string]string{controller: path}, controller)
		if !ok {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return Ref{Path: filepath.Clean(path), Dir: dir, Version: h.version}, nil
		}
	}
	return Ref{}, &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
}

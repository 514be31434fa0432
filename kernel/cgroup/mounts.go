package cgroup

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bufio"
)

// ErrNoController: there is no hierarchy with the memory controller in which a group with
// a limit could be made.
var ErrNoController = errors.New("no memory controller that is handed on")

// hierarchy is a mounted hierarchy of cgroups.
type hierarchy struct {
	mount   string // where
	root    string // the group at that place
	version int
	options []string // of version 1: its controllers
}

// parseMountinfo finds the hierarchies in /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func parseMountinfo(text io.Reader) ([]hierarchy, error) {
	var all []hierarchy
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(where) < 6 || len(what) < 3 || !strings.HasPrefix(what[0], "cgroup") {
			continue
		}
		h := hierarchy{mount: unescape(where[4]), root: unescape(where[3]), version: 1, options: strings.Split(what[2], ",")}
		if what[0] == "cgroup2" {
			h.version = 2
		}
		all = append(all, h)
	}
	return all, lines.Err()
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// parseOwn returns the path of the own group in each hierarchy of /proc/PID/cgroup, by the
// name of its controllers; that of version 2 by the empty name.
func parseOwn(text io.Reader) (map[string]string, error) {
	own := map[string]string{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) == 3 {
			for name := range strings.SplitSeq(parts[1], ",") {
				own[name] = parts[2]
			}
		}
	}
	return own, lines.Err()
}

// place is the folder of the caller's own group in a hierarchy; false where that is out of
// its sight.
func (h *hierarchy) place(own map[string]string, controller string) (string, bool) {
	path, ok := own[controller]
	if !ok {
		return "", false
	}
	below, err := filepath.Rel(h.root, path)
	if err != nil || strings.HasPrefix(below, "..") {
		return "", false
	}
	return filepath.Join(h.mount, below), true
}

func hierarchies() ([]hierarchy, map[string]string, error) { return Default().hierarchies("self") }

// memoryParent finds the folder below which a group with a memory limit can be made.
func memoryParent() (dir string, version int, err error) {
	all, own, err := hierarchies()
	if err != nil {
		return "", 0, err
	}
	for _, h := range all {
		if h.version == 1 && slices.Contains(h.options, "memory") {
			if dir, ok := h.place(own, "memory"); ok {
				return dir, 1, nil
			}
		}
	}
	for _, h := range all {
		dir, ok := h.place(own, "")
		if h.version != 2 || !ok {
			continue
		}
		for ; ; dir = filepath.Dir(dir) {
			text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
			if err == nil && slices.Contains(strings.Fields(string(text)), "memory") {
				return dir, 2, nil
			}
			if len(dir) <= len(h.mount) {
				break
			}
		}
	}
	return "", 0, ErrNoController
}

// unifiedParent is the folder of the own group in the hierarchy of version 2.
func unifiedParent() (string, error) {
	all, own, err := hierarchies()
	if err != nil {
		return "", err
	}
	for _, h := range all {
		if dir, ok := h.place(own, ""); ok && h.version == 2 {
			return dir, nil
		}
	}
	return "", ErrNoController
}

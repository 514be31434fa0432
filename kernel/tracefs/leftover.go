package tracefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// prefix of the names of instances: prefix-NAMESPACE-PID-START-RANDOM. NAMESPACE is the
// inode of the PID namespace in which PID counts, START when the process began, so that a
// number that is used again is not taken for it.
const prefix = "safevma"

func ownName() (string, error) {
	namespace, err := pidNamespace()
	if err != nil {
		return "", err
	}
	start, err := startOf(os.Getpid())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%s-%d-%s", prefix, namespace, os.Getpid(), start), nil
}

// pidNamespace is the inode of the own PID namespace (namespaces(7)).
func pidNamespace() (string, error) {
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimPrefix(link, "pid:["), "]"), nil
}

// startOf is when a process began, in clock ticks after the boot (proc_pid_stat(5)).
func startOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	const behindName = 19 // the field of that place, counted from behind the name
	end := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) <= behindName {
		return "", fmt.Errorf("%w: stat of process %d", ErrMalformed, pid)
	}
	return fields[behindName], nil
}

// Sweep removes the instances of programs like this one that have ended without, and
// returns their names. [New] does it, too.
func Sweep() ([]string, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	removed, err := sweep(filepath.Join(root.path, "instances"))
	return removed, errors.Join(classify(err), root.close())
}

func sweep(instances string) (removed []string, err error) {
	namespace, err := pidNamespace()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(instances)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !abandoned(e.Name(), namespace) {
			continue
		}
		switch err := os.Remove(filepath.Join(instances, e.Name())); {
		case err == nil:
			removed = append(removed, e.Name())
		case errors.Is(err, syscall.EBUSY), errors.Is(err, fs.ErrNotExist): // in use, or somebody else did it
		default:
			return removed, err
		}
	}
	return removed, nil
}

// abandoned reports whether an instance is of a process that has ended. Of other PID
// namespaces nothing can be told.
func abandoned(name, namespace string) bool {
	parts := strings.Split(name, "-")
	if len(parts) != 5 || parts[0] != prefix || parts[1] != namespace {
		return false
	}
	pid, err := strconv.Atoi(parts[2])
	if err != nil || pid <= 0 {
		return false
	}
	start, err := startOf(pid)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || err == nil && start != parts[3]
}

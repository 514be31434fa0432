package tracefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Errors that a caller acts on.
var (
	// ErrAbsent: this kernel has no tracefs, or no such event.
	ErrAbsent = errors.New("no such tracing here")
	// ErrDenied: tracing is root's.
	ErrDenied = errors.New("permission denied")
)

// usual is where tracefs is mounted by convention.
const usual = "/sys/kernel/tracing"

// root is tracefs as this process reaches it.
type root struct {
	path  string
	mount *os.File // nil where somebody else has mounted it
}

// findRoot finds where tracefs is mounted, or mounts it at no place. It is mounted anew
// only where nobody has it mounted: that would give its superblock, which all mounts share,
// the default owner and mode.
func findRoot() (*root, error) {
	if isTracefs(usual) {
		return &root{path: usual}, nil
	}
	for _, table := range []struct{ file, below string }{{"/proc/self/mountinfo", ""}, {"/proc/1/mountinfo", "/proc/1/root"}} {
		points, err := mountPoints(table.file)
		if err != nil {
			return nil, classify(fmt.Errorf("mounts of tracefs: %w", err))
		}
		for _, point := range points {
			if isTracefs(table.below + point) {
				return &root{path: table.below + point}, nil
			}
		}
	}
	mount, err := sys.DetachedWritableMount("tracefs")
	if err != nil {
		return nil, classify(err)
	}
	return &root{path: fmt.Sprintf("/proc/self/fd/%d", mount.Fd()), mount: mount}, nil
}

func (r *root) close() error {
	if r.mount == nil {
		return nil
	}
	return r.mount.Close()
}

// mountPoints returns where tracefs is mounted (proc_pid_mountinfo(5)).
func mountPoints(table string) ([]string, error) {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) >= 5 && fields[3] == "/" && strings.HasPrefix(after, "tracefs ") {
			points = append(points, fields[4])
		}
	}
	return points, nil
}

func isTracefs(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	magic, err := sys.FileSystem(dir)
	return err == nil && magic == sys.MagicTracefs
}

// classify says what an errno means.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w; run it as root", ErrDenied, err)
	}
	return err
}

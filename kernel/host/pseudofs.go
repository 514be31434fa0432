package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// pseudoFS is a file system of the kernel that need not be mounted.
type pseudoFS struct {
	name  string
	magic int64
	usual string // below /sys
	// resets: mounting it anew, even detached, gives the superblock that all its mounts
	// share the default options in place of those that somebody chose (*_get_tree calls
	// *_reconfigure in fs/tracefs/inode.c and fs/debugfs/inode.c).
	resets bool
}

var (
	securityfs = pseudoFS{"securityfs", sys.MagicSecurityfs, "kernel/security", false}
	tracefs    = pseudoFS{"tracefs", sys.MagicTracefs, "kernel/tracing", true}
	debugfs    = pseudoFS{"debugfs", sys.MagicDebugfs, "kernel/debug", true}
)

// readPseudo makes a fact of a file of a pseudo file system: where it usually is, else
// where a mount table has it, else through a detached mount.
//
// It never walks into a directory that might be an automount point, such as
// /sys/kernel/debug/tracing: that would mount.
func readPseudo[T any](s *session, fs pseudoFS, file string, parse func(io.Reader) (T, string, error)) Value[T] {
	usual := s.sysfs(fs.usual, file)
	v := readStream(usual, onPseudo(s, fs, usual, parse))
	if v.Known() || !s.live || ReasonOf(v.Err) == Malformed {
		return v
	}
	tried := []error{v.Err}
	points, untouched, err := s.mountPoints(fs)
	tried = append(tried, err)
	for _, point := range points {
		path := filepath.Join(point, file)
		if v = readStream(path, onPseudo(s, fs, path, parse)); v.Known() || ReasonOf(v.Err) == Malformed {
			return v
		}
		tried = append(tried, v.Err)
	}
	if len(points) > 0 || (fs.resets && !untouched) {
		return unknown[T](guarantee.Read, usual, "", errors.Join(tried...))
	}
	source := "detached " + fs.name + ": " + file
	v, err = readDetached(fs, source, file, parse)
	if err != nil {
		return unknown[T](guarantee.Read, source, "", errors.Join(append(tried, err)...))
	}
	return v
}

// onPseudo refuses a file that is not on the file system that it should be on, such as
// one below a tmpfs that somebody mounted in its place.
func onPseudo[T any](s *session, fs pseudoFS, path string, parse func(io.Reader) (T, string, error)) func(io.Reader) (T, string, error) {
	return func(r io.Reader) (v T, raw string, err error) {
		if s.live {
			if err := checkMagic(r, fs); err != nil {
				return v, "", err
			}
		}
		return parse(r)
	}
}

func checkMagic(r io.Reader, fs pseudoFS) error {
	b, ok := r.(*bounded)
	if !ok {
		return nil
	}
	file, ok := b.r.(*os.File)
	if !ok {
		return nil
	}
	magic, err := sys.FileSystem(file)
	if err != nil {
		return err
	}
	if magic != fs.magic {
		return malformed("on a file system of type %#x, and not on %s", magic, fs.name)
	}
	return nil
}

// mountPoints returns where the file system is mounted, as this process can reach it:
// in its own mount namespace, or in that of the first process. untouched says that,
// as far as can be seen, it is mounted nowhere on the host.
func (s *session) mountPoints(fs pseudoFS) (points []string, untouched bool, err error) {
	initial, err := s.readPrivileges()
	if err != nil {
		return nil, false, err
	}
	for _, table := range []struct{ of, below string }{{"self", "/"}, {"1", s.proc("1", "root")}} {
		path := s.proc(table.of, "mountinfo")
		mounts, err := read(path, parseMountinfo).Get()
		if err != nil {
			return points, false, fmt.Errorf("%w: the host's mounts of %s cannot be seen: %w", ErrDenied, fs.name, err)
		}
		for _, m := range mounts {
			if m.fstype == fs.name && m.root == "/" {
				points = append(points, filepath.Join(table.below, m.point))
			}
		}
	}
	if !initial.InitialPIDNamespace {
		return points, false, fmt.Errorf("%w: the host's mounts of %s cannot be seen from this pid namespace", ErrDenied, fs.name)
	}
	return points, len(points) == 0, nil
}

func readDetached[T any](fs pseudoFS, source, name string, parse func(io.Reader) (T, string, error)) (Value[T], error) {
	root, err := sys.DetachedMount(fs.name)
	if err != nil {
		return Value[T]{}, classify(err)
	}
	defer root.Close()
	file, err := sys.OpenAt(int(root.Fd()), name, sys.ORdonly)
	if err != nil {
		return Value[T]{}, classify(err)
	}
	defer file.Close()
	v, raw, err := parse(bound(file))
	if err != nil {
		return unknown[T](guarantee.Read, source, raw, at(source, err)), nil
	}
	return known(v, guarantee.Read, source, raw), nil
}

// whole lets a parser of text parse a stream.
func whole[T any](parse func(string) (T, error)) func(io.Reader) (T, string, error) {
	return func(r io.Reader) (T, string, error) {
		b, err := io.ReadAll(r)
		if err != nil {
			var zero T
			return zero, "", err
		}
		v, err := parse(string(b))
		return v, strings.TrimSuffix(string(b), "\n"), err
	}
}

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/lab/vm"
	"github.com/safevma/safevma/lab/wire"
)

// job makes a job of a program and its arguments: with the files, the environment and
// what is to be brought back.
func (f *execFlags) job(args []string) (vm.Job, error) {
	program, err := filepath.Abs(args[0])
	if err != nil {
		return vm.Job{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return vm.Job{}, err
	}
	send, leave := f.send, func(string, fs.DirEntry) bool { return false }
	if send == nil {
		send, leave = []string{moduleRoot(dir)}, leftOut(moduleRoot(dir))
	}
	for i, path := range send {
		if send[i], err = filepath.Abs(path); err != nil {
			return vm.Job{}, err
		}
	}
	if err := checkSize(send, leave); err != nil {
		return vm.Job{}, err
	}
	if err := vm.CheckProgram(program, f.Arch); err != nil {
		return vm.Job{}, err
	}
	bring, err := brought(args[1:], f.bring, dir)
	if err != nil {
		return vm.Job{}, err
	}
	return vm.Job{
		Job: wire.Job{Path: program, Args: args[1:], Dir: dir, Env: environment(os.Environ(), f.user, dir),
			UID: f.user, GID: f.user, Bring: bring},
		Files: func(a *tar.Writer) error {
			// A folder that is brought back is there before: programs write to it.
			folders := slices.DeleteFunc(slices.Clone(bring), func(path string) bool {
				info, err := os.Stat(path)
				return err != nil || !info.IsDir()
			})
			for _, path := range slices.Concat(send, []string{program}, folders) {
				if err := wire.Pack(a, path, leave); err != nil {
					return err
				}
			}
			return nil
		},
		Stdout: os.Stdout, Stderr: os.Stderr,
	}, nil
}

// moduleRoot is the nearest folder above with a go.mod, or the folder itself: tests read
// files of their module.
func moduleRoot(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// leftOut: no test reads the history of a module, or what was built or fetched at its root.
func leftOut(root string) func(path string, d fs.DirEntry) bool {
	return func(path string, _ fs.DirEntry) bool {
		return slices.Contains([]string{".git", "bin", "node_modules"}, filepath.Base(path)) && filepath.Dir(path) == root
	}
}

// maxSend is how much is sent, in bytes: the guest keeps it in memory.
const maxSend = 256 << 20

var errTooMuch = errors.New("too much")

func checkSize(paths []string, leave func(string, fs.DirEntry) bool) error {
	var total int64
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if leave(name, d) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				total += info.Size()
			}
			if total > maxSend {
				return errTooMuch
			}
			return nil
		})
		if errors.Is(err, errTooMuch) {
			return fmt.Errorf("%s has more than %d MiB of files: name what the program needs with --send", path, maxSend>>20)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hostOnly are variables that mean something on the host alone.
var hostOnly = []string{"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "SHLVL", "_", "HOSTNAME"}

func environment(host []string, user uint32, dir string) []string {
	var env []string
	for _, variable := range host {
		name, _, _ := strings.Cut(variable, "=")
		if !slices.Contains(hostOnly, name) && !strings.HasPrefix(name, "XDG_") {
			env = append(env, variable)
		}
	}
	home := "/root"
	if user != 0 {
		home = "/tmp"
	}
	return append(env, "PATH=/usr/bin:/bin", "HOME="+home, "TMPDIR=/tmp", "PWD="+dir)
}

// outputFlags are the flags of test binaries that name a file or folder to write.
var outputFlags = []string{"coverprofile", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace", "testlogfile"}

// brought returns what to bring back: what the flags of the test binary name, the folder
// of coverage, and what the caller asks for.
func brought(args, more []string, dir string) ([]string, error) {
	outputs := dir
	var names, paths []string
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		name, isTest := strings.CutPrefix(name, "test.")
		switch {
		case !ok || !isTest || value == "":
		case name == "outputdir":
			outputs = value
		case name == "gocoverdir":
			paths = append(paths, value)
		case slices.Contains(outputFlags, name):
			names = append(names, value)
		}
	}
	for _, name := range names {
		if !filepath.IsAbs(name) {
			name = filepath.Join(outputs, name)
		}
		paths = append(paths, name)
	}
	if cover := os.Getenv("GOCOVERDIR"); cover != "" {
		paths = append(paths, cover)
	}
	for i, path := range append(paths, more...) {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if i < len(paths) {
			paths[i] = absolute
		} else {
			paths = append(paths, absolute)
		}
	}
	return paths, nil
}

// timeLimit is how long the machine may run: go test ends the runner a minute after the
// binary's own limit, and could then not be told what happened.
func timeLimit(args []string) time.Duration {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "test.timeout="); ok {
			switch d, err := time.ParseDuration(value); {
			case err == nil && d == 0: // go test's word for no limit
				return 24 * time.Hour
			case err == nil && d > 0:
				return d + 50*time.Second
			}
		}
	}
	return 10 * time.Minute
}

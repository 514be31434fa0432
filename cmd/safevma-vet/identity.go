package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/cmd/safevma-vet/layout"
)

// identity is what "-V=full" prints. The go command keeps what a tool found under the
// tool's identity and the package's source. Lock files are not source, so they are a part
// of the identity: otherwise a finding would stay when its lock file was mended, and none
// would come when a lock file was changed.
func identity() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if err := hashFile(h, name); err != nil {
		return "", err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if err := hashLocks(h, top(dir)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s version devel and lock files buildID=%x", name, h.Sum(nil)), nil
}

// top returns the directory of the workspace or of the module that dir belongs to.
func top(dir string) string {
	for _, name := range []string{"go.work", "go.mod"} {
		for d := dir; ; d = filepath.Dir(d) {
			if _, err := os.Stat(filepath.Join(d, name)); err == nil {
				return d
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return dir
}

// hashLocks hashes all lock files below a directory. What can't be read can't be vetted
// either, and is left out.
func hashLocks(h io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case d.IsDir() && name != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || d.Name() != layout.File:
			return nil
		}
		fmt.Fprintf(h, "%s\n", name)
		return hashFile(h, name)
	})
}

func hashFile(h io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return err
}

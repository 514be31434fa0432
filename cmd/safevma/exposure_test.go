package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/safevma/safevma/exposure"
)

// A picture that can't be written to a device leaves the device where it is.
func TestWriteSVGKeepsDevices(t *testing.T) {
	name := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Skip(err)
	}
	if err := writeSVG(name, &exposure.Exposure{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want ENOSPC", err)
	}
	if _, err := os.Lstat(name); err != nil {
		t.Error(err)
	}
}

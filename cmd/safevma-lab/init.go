package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// self is the package of this command.
const self = "github.com/safevma/safevma/cmd/safevma-lab"

// initProgram returns the program that becomes a guest's init: this one, or where the
// guest has another architecture, one that Go builds from the same source.
func initProgram(ctx context.Context, arch string) (string, error) {
	if arch == runtime.GOARCH {
		return os.Executable()
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "safevma-lab", "init-"+arch)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), "init-*") // others see it whole or not at all
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	built := filepath.Join(temp, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", built, self)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building an init for %s, which works in safevma's own module alone: %w: %s", arch, err, text)
	}
	return path, os.Rename(built, path)
}

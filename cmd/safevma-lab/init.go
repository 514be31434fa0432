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
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, self)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building an init for %s: %w: %s", arch, err, text)
	}
	return path, nil
}

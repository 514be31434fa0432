package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/bench/launch"
)

//go:embed c
var sources embed.FS

// programs are the contenders in C.
var programs = []string{"pmemobj", "lmdb"}

// build makes the programs in a folder, safevma among them, and says for each that can't be made why.
func build(ctx context.Context, folder string) (lacking map[string]string, err error) {
	lacking = map[string]string{}
	if err := os.CopyFS(folder, sources); err != nil {
		return nil, err
	}
	for _, name := range programs {
		cmd := exec.CommandContext(ctx, "make", "-s", "-C", filepath.Join(folder, "c"), "OUT="+folder, filepath.Join(folder, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			lacking[name] = fmt.Sprintf("it can't be built (make bench-deps): %v: %s", err, first)
		}
	}
	command := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", filepath.Join(folder, launch.Safevma), "./cmd/safevma")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build safevma: %w: %s", err, out)
	}
	return lacking, nil
}

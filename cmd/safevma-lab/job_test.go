package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/vm"
)

func TestBrought(t *testing.T) {
	t.Setenv("GOCOVERDIR", "/cover")
	args := []string{"-test.v=true", "-test.coverprofile=c.out", "-test.outputdir=/from", "-test.cpuprofile=/abs/cpu.out",
		"-test.gocoverdir=/tmp/build/gocoverdir", "-test.testlogfile=/tmp/build/testlog.txt", "-test.trace=", "-coverprofile=own.out"}
	got, err := brought(args, []string{"/more"}, "/module/pkg")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/tmp/build/gocoverdir", "/from/c.out", "/abs/cpu.out", "/tmp/build/testlog.txt", "/cover", "/more"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	got := strings.Join(environment([]string{"PATH=/host", "HOME=/home/x", "GOMAXPROCS=3", "XDG_CACHE_HOME=/c", "A=b=c"}, 0, "/module"), " ")
	if want := "GOMAXPROCS=3 A=b=c PATH=/usr/bin:/bin HOME=/root TMPDIR=/tmp PWD=/module"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTimeLimit(t *testing.T) {
	for arg, want := range map[string]time.Duration{
		"-test.timeout=30s":   80 * time.Second,
		"--test.timeout=1m0s": 110 * time.Second,
		"-test.timeout=0":     24 * time.Hour, // none
		"-test.timeout=x":     10 * time.Minute,
		"-test.v":             10 * time.Minute,
	} {
		if got := timeLimit([]string{arg}); got != want {
			t.Errorf("%s: %v, want %v", arg, got, want)
		}
	}
}

func TestStorageFlag(t *testing.T) {
	if got := storage("ext4"); got != (vm.Storage{Kind: "ext4"}) {
		t.Errorf("%+v", got)
	}
	if got := storage("xfs:/a/disk"); got != (vm.Storage{Kind: "xfs", Path: "/a/disk"}) {
		t.Errorf("%+v", got)
	}
}

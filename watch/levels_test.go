package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/kernel/cgroup"
)

func TestMain(m *testing.M) {
	hog.Main()
	os.Exit(m.Run())
}

// A group of version 1 that reclaims all the time tells of its level; when it is removed,
// that comes once, and the end after it.
func TestWatchLevels(t *testing.T) {
	g, err := cgroup.NewMemory(fmt.Sprintf("safevma-watch-test-%d", os.Getpid()), 16<<20)
	if err != nil {
		t.Skip(err)
	}
	defer g.Remove()
	if g.Version() != 1 {
		t.Skip("groups are of version 2 here")
	}
	process := hog.Reads(t, t.TempDir(), 64<<20)
	if err := g.Add(process.PID); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	var kinds []EventKind
	confirmed, err := WatchLevels(ctx, cgroup.Ref{Path: "/own", Dir: g.Dir(), Version: 1}, func(e Event) error {
		if !slices.Contains(kinds, e.Kind) || e.Kind == Gone || e.Kind == Finished {
			kinds = append(kinds, e.Kind)
		}
		switch {
		case e.Kind == Armed:
			return process.Go()
		case e.Kind == Level && e.Level == "":
			return errors.New("a level without a name")
		case e.Kind == Level:
			process.End()
			return g.Remove()
		}
		return nil
	})
	if want := []EventKind{Armed, Level, Gone, Finished}; err != nil || !slices.Equal(kinds, want) {
		t.Errorf("%v, %d confirmed, %v; want %v", kinds, confirmed, err, want)
	}
	var target *TargetError
	if _, err := WatchLevels(ctx, cgroup.Ref{Path: "/none", Dir: t.TempDir()}, func(Event) error { return nil }); !errors.As(err, &target) {
		t.Error(err)
	}
}

package watch

import (
	"context"
	"os"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// An own mapping is found while it has the advice, and neither before nor after.
func TestFindAdvised(t *testing.T) {
	const pages = 8
	size := pages * os.Getpagesize()
	b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous|sys.MapPopulate, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	find := func() *Advised {
		t.Helper()
		r, err := FindAdvised(context.Background(), process.Default(), []int{os.Getpid()}, nil)
		if err != nil || r.Coverage.Processes != 1 || r.Coverage.VMAs == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		for i := range r.Advised {
			if a := &r.Advised[i]; a.Start == hexadecimal(sys.Addr(b)) {
				return a
			}
		}
		return nil
	}
	for _, tt := range []struct {
		advice int
		want   string
	}{{sys.MadvRandom, "random"}, {sys.MadvSequential, "sequential"}, {madvNormal, ""}} {
		if err := sys.Madvise(b, tt.advice); err != nil {
			t.Fatal(err)
		}
		a := find()
		if (a != nil) != (tt.want != "") || a != nil && (a.Advice != tt.want || a.Resident < uint64(size)) {
			t.Errorf("advice %d: %+v, want %q", tt.advice, a, tt.want)
		}
	}
}

const madvNormal = 0 // MADV_NORMAL

// What can't be read is counted, with the reason.
func TestCoverage(t *testing.T) {
	const nobody = 1 << 22 // above any process id
	r, err := FindAdvised(context.Background(), process.Default(), []int{nobody + 1, os.Getpid()}, nil)
	if err != nil || len(r.Coverage.Gone) != 1 || r.Coverage.Gone[0].PID != nobody+1 || r.Coverage.Processes != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := FindAdvised(ctx, process.Default(), nil, nil); err == nil {
		t.Error("goes on after its end")
	}
}

func TestSinceVersion(t *testing.T) {
	yes, no := true, false
	for release, want := range map[string]*bool{"6.18.44-fc": &yes, "6.3": &yes, "6.3-rc1": &yes, "6.2.16": &no, "5.19": &no, "7.0.1": &yes, "next": nil, "6.x": nil} {
		got := sinceVersion(release, 6, 3)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %v", release, got)
		}
	}
}

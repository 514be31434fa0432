package fsck

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// Spans that were emptied and got slots of other sizes, or a big object, are as good as new ones.
func TestCleanAfterReassigning(t *testing.T) {
	p, m := newPool(t, 40*4096, small)
	reassigned := false
	for round, n := range []int{40, 900, 200, 6000, 64, 3000} {
		var all []pmem.Ref[pmem.Bytes]
		for {
			err := p.Update(ctx, func(tx *pmem.Tx) error {
				r, err := pmem.AllocBytes(tx, make([]byte, n))
				all = append(all, r)
				return err
			})
			if errors.Is(err, pmem.ErrFull) {
				all = all[:len(all)-1]
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(all) < 10 {
			t.Fatalf("round %d: only %d objects", round, len(all))
		}
		leaks := report(t, m)
		if len(leaks.Problems)+int(leaks.Omitted) != len(all) || leaks.Problems[0].Kind != Leak {
			t.Errorf("round %d: %d objects are leaks, and %d problems: %v", round, len(all), len(leaks.Problems), leaks.Problems[0])
		}
		for _, r := range all {
			update(t, p, func(tx *pmem.Tx) error { return pmem.Free(tx, r) })
		}
		mustBeClean(t, m)
		reassigned = reassigned || hasBase(t, m)
	}
	if !reassigned {
		t.Error("no span was given to other sizes: the test does not test it")
	}
}

func report(t testing.TB, m *medium.Medium) *Report {
	t.Helper()
	r, err := Check(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hasBase(t *testing.T, m *medium.Medium) bool {
	r, err := pmem.NewReader(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Spans() {
		if s, err := r.Span(i); err != nil || s.Base > 0 {
			return err == nil
		}
	}
	return false
}

// A pool whose process was killed is checked as it will be when it is opened.
func TestCleanBeforeAndAfterReplay(t *testing.T) {
	p, m := newPool(t, poolSize, pmem.Options{SpanSize: 4096})
	fill(t, p)
	image := make([]byte, m.Size())
	if err := m.Read(0, image); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "pool")
	if err := os.WriteFile(name, image, 0o600); err != nil {
		t.Fatal(err)
	}
	before := checkFile(t, name)
	if before.Log.Records == 0 || before.Log.Torn {
		t.Errorf("%+v: nothing is to be replayed", before.Log)
	}
	again, err := pmem.Open(name, pmem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Info().Recovery; got.Records != before.Log.Records || got.Bytes != before.Log.Bytes {
		t.Errorf("opening replayed %+v, and the check said %+v", got, before.Log)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	after := checkFile(t, name)
	if after.Log.Records != 0 || after.Counts != before.Counts {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// checkFile checks a file, and that the check does not change it.
func checkFile(t *testing.T, name string) *Report {
	t.Helper()
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := medium.Open(name, medium.Options{ReadOnly: true, Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := mustBeClean(t, m)
	now, err := os.ReadFile(name)
	if err != nil || string(now) != string(old) {
		t.Errorf("the check changed the file: %v", err)
	}
	return r
}

// What is in the log alone counts as if it were in place.
func TestLogIsLaidOver(t *testing.T) {
	p, m := newPool(t, poolSize, small)
	before := make([]byte, m.Size())
	if err := m.Read(0, before); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		update(t, p, func(tx *pmem.Tx) error {
			last, err1 := pmem.Root[node](tx, "list")
			if errors.Is(err1, pmem.ErrType) {
				err1 = nil
			}
			text, err2 := pmem.AllocBytes(tx, []byte("text"))
			if i%4 == 3 {
				return errors.Join(err1, err2, pmem.Free(tx, text))
			}
			r, err3 := pmem.Alloc(tx, node{uint64(i), last, text})
			return errors.Join(err1, err2, err3, pmem.SetRoot(tx, "list", r))
		})
	}
	want := mustBeClean(t, m)
	if p.Info().Sequence != uint64(want.Log.Records) || want.Counts.Objects != 2*15+1 {
		t.Fatalf("%+v: the test does not test it", want)
	}
	log := make([]byte, p.Info().LogSize)
	at := before[logOffset:]
	if err := m.Read(logOffset, log); err != nil {
		t.Fatal(err)
	}
	copy(at, log)
	other, err := medium.NewVolatile(m.Size(), m.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Write(0, before, medium.Unclassed); err != nil {
		t.Fatal(err)
	}
	if got := mustBeClean(t, other); got.Counts != want.Counts {
		t.Errorf("%+v, want %+v", got.Counts, want.Counts)
	}
}

// A slot at its last incarnation is not used again, and counted.
func TestRetired(t *testing.T) {
	if testing.Short() {
		t.Skip("it frees an object 65535 times")
	}
	p, m := newPool(t, 16*4096, pmem.Options{SpanSize: 4096, LogSize: 16384})
	for range 65535 {
		var r pmem.Ref[pmem.Bytes]
		update(t, p, func(tx *pmem.Tx) (err error) { r, err = pmem.AllocBytes(tx, nil); return err })
		update(t, p, func(tx *pmem.Tx) error { return pmem.Free(tx, r) })
	}
	if got := mustBeClean(t, m).Counts.Retired; got != 1 {
		t.Errorf("%d slots are retired", got)
	}
}

// A stack that is too small costs time, and finds the same.
func TestSmallStack(t *testing.T) {
	defer func(n int) { mostStack = n }(mostStack)
	p, m := newPool(t, poolSize, small)
	fill(t, p)
	want := mustBeClean(t, m)
	mostStack = 1
	if got := mustBeClean(t, m); got.Counts != want.Counts {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestContext(t *testing.T) {
	_, m := newPool(t, poolSize, small)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Check(ended, m); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

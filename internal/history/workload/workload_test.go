package workload_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/safevma/safevma/internal/history"
	"github.com/safevma/safevma/internal/history/workload"
)

// twins are the stores, with what each is broken by. A broken one may show other anomalies
// beside, but none of never.
var twins = []struct {
	name  string
	make  func() workload.ListStore
	want  history.Anomaly
	right bool
	never []history.Anomaly
}{
	{name: "locked", right: true, make: func() workload.ListStore { return &locked{} }},
	{name: "retrying", right: true, make: func() workload.ListStore { return &retrying{} }},
	{name: "lockless", want: history.LostUpdate, never: []history.Anomaly{history.AbortedRead, history.IntermediateRead, history.Internal},
		make: func() workload.ListStore { return &lockless{} }},
	{name: "snapshot", want: history.WriteSkew, never: []history.Anomaly{history.LostUpdate, history.ReadSkew, history.CircularFlow,
		history.DirtyWrite, history.AbortedRead, history.IntermediateRead, history.Incompatible, history.Internal, history.Phantom},
		make: func() workload.ListStore { return &snapshot{} }},
	{name: "halfway", want: history.ReadSkew, never: []history.Anomaly{history.LostUpdate, history.AbortedRead, history.DirtyWrite, history.Internal},
		make: func() workload.ListStore { return &halfway{} }},
	{name: "dirty", want: history.AbortedRead, never: []history.Anomaly{history.LostUpdate, history.Internal}, make: func() workload.ListStore { return &dirty{} }},
	{name: "dirty", want: history.IntermediateRead, make: func() workload.ListStore { return &dirty{} }},
	{name: "anarchy", want: history.DirtyWrite, make: func() workload.ListStore { return &anarchy{} }},
	{name: "stale", want: history.NotRealTime, never: []history.Anomaly{history.LostUpdate, history.ReadSkew, history.WriteSkew, history.CircularFlow,
		history.DirtyWrite, history.AbortedRead, history.IntermediateRead, history.Incompatible, history.Internal, history.Phantom},
		make: func() workload.ListStore { return &stale{} }},
	{name: "early", want: history.LostUpdate, never: []history.Anomaly{history.AbortedRead, history.Internal}, make: func() workload.ListStore { return &early{} }},
	{name: "blind", want: history.Internal, make: func() workload.ListStore { return &blind{} }},
}

// Each broken twin is caught, by what it is broken by, on lists and on registers; the right
// stores pass with the same seeds.
func TestTwins(t *testing.T) {
	for _, twin := range twins {
		t.Run(twin.name+"/lists", func(t *testing.T) {
			runs(t, twin.right, twin.want, twin.never, func(c workload.Config) (history.History, error) {
				return workload.RunLists(c, twin.make())
			})
		})
		t.Run(twin.name+"/registers", func(t *testing.T) {
			runs(t, twin.right, twin.want, twin.never, func(c workload.Config) (history.History, error) {
				return workload.Run(c, registers{twin.make()})
			})
		})
	}
}

// runs tries seeds until the anomaly shows. Which goroutine runs when is not in the seed.
func runs(t *testing.T, right bool, want history.Anomaly, never []history.Anomaly, run func(workload.Config) (history.History, error)) {
	const most = 20
	for seed := range uint64(most) {
		c := workload.New(seed)
		h, err := run(c)
		if err != nil {
			t.Fatal(c, err)
		}
		r, err := history.Check(h, history.Options{Attempts: right, Details: 1})
		if err != nil {
			t.Fatal(c, err)
		}
		for _, a := range never {
			if r.Has(a) {
				t.Fatalf("%s: it has no %s\n%s", c, a, r)
			}
		}
		switch {
		case right && !r.OK():
			t.Fatalf("%s: it is right\n%s", c, r)
		case right && seed == 3:
			t.Logf("%s: %s", c, r)
			return
		case !right && r.Has(want):
			t.Logf("%s: %s", c, r)
			if r.Serialisable() != (want == history.NotRealTime) {
				t.Errorf("serialisable: %v", r.Serialisable())
			}
			return
		}
	}
	t.Errorf("%d seeds, and no %s", most, want)
}

// An error that is neither the workload's own nor of unknown outcome comes back.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	c := workload.New(1)
	c.Goroutines, c.Transactions = 2, 10
	if _, err := workload.RunLists(c, failing{&locked{}, new(atomic.Int64), broken}); !errors.Is(err, broken) || !strings.Contains(err.Error(), "transaction 1") {
		t.Errorf("%v", err)
	}
	c.Unknown = func(err error) bool { return errors.Is(err, broken) }
	c.Transactions = 200
	h, err := workload.RunLists(c, failing{&locked{}, new(atomic.Int64), broken})
	if err != nil {
		t.Fatal(err)
	}
	r, err := history.Check(h, history.Options{})
	if err != nil || !r.OK() || r.Unknown < 10 || r.Seen == 0 || r.Seen == r.Unknown {
		t.Errorf("%v: %s", err, r)
	}
}

// failing fails each third update, and did it all the same each second time.
type failing struct {
	*locked
	calls *atomic.Int64
	err   error
}

func (s failing) Update(f fn) error {
	n := s.calls.Add(1)
	if n%3 != 0 {
		return s.locked.Update(f)
	}
	if err := s.locked.Update(func(tx workload.ListTx) error {
		if err := f(tx); err != nil || n%2 == 0 {
			return errors.Join(err, s.err)
		}
		return nil
	}); err != nil {
		return err
	}
	return s.err
}

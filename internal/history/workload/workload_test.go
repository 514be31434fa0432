package workload_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/safevma/safevma/internal/history"
	"github.com/safevma/safevma/internal/history/workload"
)

type anomalies = []history.Anomaly

// reads are what is wrong in one read, of a store that keeps no order at all.
var reads = anomalies{history.Internal, history.Phantom, history.AbortedRead, history.IntermediateRead, history.Incompatible}

// twins are the stores, with what each is broken by. A broken one may show other anomalies
// beside, but none of never. (Views of snapshot isolation may be out of real time: two
// updates that overlap, of which the later one missed the earlier.)
var twins = []struct {
	name  string
	make  func() workload.ListStore
	right bool
	want  history.Anomaly
	never anomalies
}{
	{name: "locked", right: true, make: func() workload.ListStore { return &locked{} }},
	{name: "retrying", right: true, make: func() workload.ListStore { return &retrying{} }},
	{name: "lockless", want: history.LostUpdate, make: func() workload.ListStore { return &lockless{} },
		never: anomalies{history.AbortedRead, history.IntermediateRead, history.Internal}},
	{name: "snapshot", want: history.WriteSkew, make: func() workload.ListStore { return &snapshot{} },
		never: append(anomalies{history.LostUpdate, history.ReadSkew, history.CircularFlow, history.DirtyWrite}, reads...)},
	{name: "halfway", want: history.ReadSkew, make: func() workload.ListStore { return &halfway{} },
		never: append(anomalies{history.LostUpdate, history.DirtyWrite}, reads...)},
	{name: "dirty, aborted", want: history.AbortedRead, make: func() workload.ListStore { return &dirty{} },
		never: anomalies{history.LostUpdate, history.Internal}},
	{name: "dirty, not yet done", want: history.IntermediateRead, make: func() workload.ListStore { return &dirty{} },
		never: anomalies{history.LostUpdate, history.Internal}},
	{name: "anarchy", want: history.DirtyWrite, make: func() workload.ListStore { return &anarchy{} }},
	{name: "stale", want: history.NotRealTime, make: func() workload.ListStore { return &stale{} },
		never: append(anomalies{history.LostUpdate, history.ReadSkew, history.WriteSkew, history.CircularFlow, history.DirtyWrite}, reads...)},
	{name: "early", want: history.LostUpdate, make: func() workload.ListStore { return &early{} },
		never: anomalies{history.AbortedRead, history.Internal}},
	{name: "blind", want: history.Internal, make: func() workload.ListStore { return &blind{} },
		never: anomalies{history.Phantom, history.AbortedRead, history.IntermediateRead}},
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
func runs(t *testing.T, right bool, want history.Anomaly, never anomalies, run func(workload.Config) (history.History, error)) {
	t.Helper()
	const most = 20
	for seed := range uint64(most) {
		c := workload.New(seed)
		if testing.Short() {
			c.Transactions = 150
		}
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
	_, err := workload.RunLists(c, failing{&locked{}, new(atomic.Int64), broken})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), " of a goroutine: broken") {
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

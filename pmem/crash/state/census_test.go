package state

import (
	"math/rand/v2"
	"testing"
)

// The census is the size of the set of all images of all points.
func TestCensus(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 50
	}
	came := 0
	for _, model := range []Model{adr, eadr, kill, sector, torn} {
		r := rand.New(rand.NewPCG(2, uint64(model.Unit)))
		for range n {
			events := randomEvents(r, model)
			events = append(events, Event{Kind: Flush, Len: int64(2 * model.Unit)}, fence(), Event{Kind: SyncBegin, Len: int64(2 * model.Unit), ID: 99}, Event{Kind: SyncEnd, ID: 99})
			for range 2 + r.IntN(6) { // so that contents come back
				e := events[r.IntN(len(events))]
				if e.Kind == Store || e.Kind == Stream {
					events = append(events, e, by(e.Thread, flush(e.Off, 8)), by(e.Thread, fence()))
				}
			}
			got, want, again := census(t, model, events)
			if got != want {
				t.Fatalf("%v: %s: counted %d images, there are %d", model, describe(events), got, want)
			}
			if again {
				came++
			}
		}
	}
	if came < n/4 {
		t.Errorf("contents came back in %d traces alone: the test tests little", came)
	}
}

func census(t *testing.T, model Model, events []Event) (got, want int, again bool) {
	s, err := New(model, make([]byte, 3*model.Unit))
	if err != nil {
		t.Fatal(err)
	}
	c := NewCensus(model, Mixed(model, events))
	all := map[string]bool{}
	last := map[string]bool{}
	add := func() error {
		now := map[string]bool{}
		fresh := 0
		for _, image := range images(s) {
			now[image] = true
			if !all[image] {
				fresh++
			} else if !last[image] {
				again = true
			}
			all[image] = true
		}
		last = now
		if n := int(c.Add(s).Int64()); n != fresh {
			t.Fatalf("%v: %s: %d new images counted, there are %d", model, describe(events), n, fresh)
		}
		return nil
	}
	for i, e := range events {
		add()
		e.Index = i
		c.Observe(e, s)
		if err := s.Apply(e, add); err != nil {
			return 0, 0, false // ordinary and non-temporal stores met
		}
	}
	add()
	total, exact := c.Total()
	if !exact {
		t.Fatal("not exact")
	}
	return int(total.Int64()), len(all), again
}

package crash

import (
	"bytes"
	"fmt"
	"slices"
)

// outcome is what a recovery and its checks came to.
type outcome struct {
	absent bool
	err    error
	dump   string
	events []Event // what recovery did to the medium, if asked for
	stores int
}

// size is what it takes, roughly.
func (o *outcome) size() int {
	const event = 200
	n := 100 + len(o.dump)
	for i := range o.events {
		n += event + len(o.events[i].Data)
	}
	return n
}

// same reports whether two recoveries did the same, what they stored included.
func (o *outcome) same(p *outcome) bool {
	return o.absent == p.absent && o.dump == p.dump && fmt.Sprint(o.err) == fmt.Sprint(p.err) &&
		o.stores == p.stores && slices.EqualFunc(o.events, p.events, sameEvent)
}

func sameEvent(a, b Event) bool {
	return a.Kind == b.Kind && a.Off == b.Off && a.Len == b.Len && bytes.Equal(a.Data, b.Data)
}

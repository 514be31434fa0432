package crash

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// orders is the history of operations that overlap: it keeps the states of the model after
// each order in which the operations may have taken effect. What a crash may leave is any of
// them: those acknowledged are there, those in flight whole or absent.
type orders struct {
	running map[int]*operation
	ways    map[string]way
}

// way is one order.
type way struct {
	model Model
	done  map[int]string // operations in flight that took effect, and with which result
}

// maxWays bounds the orders that are followed at a time.
const maxWays = 20_000

var (
	// ErrOrder reports results that no order of the operations explains, without any crash.
	ErrOrder  = errors.New("no order of the operations explains their results")
	errOrders = fmt.Errorf("more than %d orders of operations to follow: let fewer overlap", maxWays)
)

func newOrders(m Model) *orders {
	h := &orders{running: map[int]*operation{}, ways: map[string]way{}}
	h.add(h.ways, way{m.Clone(), map[int]string{}})
	return h
}

func (h *orders) add(ways map[string]way, w way) bool {
	var key strings.Builder
	for _, id := range slices.Sorted(maps.Keys(w.done)) {
		fmt.Fprintf(&key, "%d=%q ", id, w.done[id])
	}
	key.WriteString(w.model.String())
	if _, known := ways[key.String()]; known {
		return false
	}
	ways[key.String()] = w
	return true
}

func (h *orders) begin(op *operation) (*legal, error) {
	if op.effect == nil {
		return nil, fmt.Errorf("%s: %w", op.name, errOverlap)
	}
	h.running[op.id] = op
	if err := h.close(); err != nil {
		return nil, err
	}
	return h.legal(), nil
}

// close adds all ways in which operations in flight may take effect now.
func (h *orders) close() error {
	open := slices.Collect(maps.Values(h.ways))
	for len(open) > 0 {
		w := open[len(open)-1]
		open = open[:len(open)-1]
		for id, op := range h.running {
			if _, done := w.done[id]; done {
				continue
			}
			next := way{w.model.Clone(), maps.Clone(w.done)}
			next.done[id] = op.effect(next.model)
			if h.add(h.ways, next) {
				open = append(open, next)
			}
		}
		if len(h.ways) > maxWays {
			return errOrders
		}
	}
	return nil
}

func (h *orders) acknowledge(op *operation) (*legal, error) {
	if op.relaxed {
		return nil, fmt.Errorf("%s: relaxed operations do not overlap with others", op.name)
	}
	delete(h.running, op.id)
	kept := map[string]way{}
	for _, w := range h.ways {
		result, done := w.done[op.id]
		if done && (op.err != nil || result == op.result) {
			delete(w.done, op.id)
			h.add(kept, w)
		}
		if !done && op.err != nil {
			h.add(kept, w)
		}
	}
	if h.ways = kept; len(kept) == 0 {
		return nil, fmt.Errorf("%w: %s returned %q", ErrOrder, op.name, op.result)
	}
	return h.legal(), nil
}

func (h *orders) legal() *legal {
	l := &legal{dumps: map[string]bool{}}
	for _, w := range h.ways {
		l.dumps[w.model.String()] = true
	}
	return l
}

func (h *orders) end(dump string) error {
	if !h.legal().dumps[dump] {
		return fmt.Errorf("%w: at the end the structure is %s, not %s", ErrOrder, clip(dump), h.legal().describe())
	}
	return nil
}

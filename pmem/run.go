package pmem

import (
	"errors"
	"fmt"
)

// reserveRun takes a run of spans for a big object. A run does not cross a zone, whose table is
// in the way.
func (h *heap) reserveRun(n int64) (reservation, error) {
	if most := min(h.p.zoneMask, h.p.spans-1); n > most {
		return reservation{}, fmt.Errorf("%w: the object takes %d bytes, and in this pool one takes at most %d", ErrTooBig, n<<h.p.spanShift, most<<h.p.spanShift)
	}
	full := fmt.Errorf("%w: no run of %d spans of %d bytes is free", ErrFull, n, h.p.span)
	for allocated := false; ; {
		first, ok := h.findRun(h.rover, h.p.spans, n, allocated)
		if !ok {
			first, ok = h.findRun(0, min(h.p.spans, h.rover+n), n, allocated)
		}
		if !ok {
			return reservation{}, full
		}
		r, err := h.holdRun(first, n)
		switch {
		case err == nil:
			h.rover = first + n
			return r, nil
		case errors.Is(err, ErrFull) && !allocated: // spans that were used before have their space
			full, allocated = err, true
		case err != errSkipped:
			return reservation{}, err
		}
	}
}

// findRun looks for spans in a row in which nothing is, and that are allocated on the device if
// that is asked for.
func (h *heap) findRun(from, to, n int64, allocated bool) (first int64, ok bool) {
	found := int64(0)
	for i := from; i < to && found < n; i++ {
		if h.p.isTable(i) || !h.vacant(i) || allocated && !h.loaded(i).used {
			found = 0
			continue
		}
		if found == 0 {
			first = i
		}
		found++
	}
	return first, found == n
}

// vacant reports whether a big object can have a span.
func (h *heap) vacant(i int64) bool {
	s, err := h.load(i)
	if err != nil || s.held || s.base == lastIncarnation {
		return false
	}
	if s.class == classNone {
		return true
	}
	if !s.empty() {
		return false
	}
	next, err := h.unassigned(s)
	return err == nil && next != nil && next.base < lastIncarnation
}

// holdRun makes a run of spans ready to be written past the log: each has no class, and was used,
// so that what a failure leaves there is not taken for zeros; and no live record covers it (R2).
func (h *heap) holdRun(first, n int64) (reservation, error) {
	if err := h.space(first, n); err != nil {
		return reservation{}, err
	}
	var changes []*span
	last := uint64(0)
	for i := first; i < first+n; i++ {
		s := h.loaded(i)
		if s.class != classNone {
			next, err := h.unassigned(s)
			if err != nil {
				return reservation{}, err
			}
			if next == nil {
				return reservation{}, h.skip(s)
			}
			changes = append(changes, next)
		} else if !s.used {
			if err := h.untouched(s); err != nil {
				return reservation{}, err
			}
			changes = append(changes, h.p.newSpan(i, descriptor{used: true}))
		}
		last = max(last, s.changed)
	}
	if len(changes) > 0 {
		if err := h.change(changes...); err != nil {
			return reservation{}, err
		}
		last = changes[0].changed
	}
	if err := h.uncover(last); err != nil {
		return reservation{}, err
	}
	for i := first; i < first+n; i++ {
		h.loaded(i).held = true
	}
	s := h.loaded(first)
	return reservation{s: s, off: h.p.spanOffset(first), next: s.base + 1, run: n}, nil
}

// occupied returns what the spans of a reserved run are with an object.
func (h *heap) occupied(r reservation) []*span {
	all := []*span{h.p.newSpan(r.s.index, descriptor{class: classHead, used: true, base: r.s.base, run: uint32(r.run)})}
	for i := int64(1); i < r.run; i++ {
		old := h.loaded(r.s.index + i)
		all = append(all, h.p.newSpan(old.index, descriptor{class: classRest, used: true, base: old.base, run: uint32(i)}))
	}
	return all
}

// vacated returns what the spans of a big object are without it.
func (h *heap) vacated(s *span, incarnation uint16) ([]*span, error) {
	all := []*span{h.p.newSpan(s.index, descriptor{used: true, base: incarnation})}
	for i := int64(1); i < int64(s.run); i++ {
		old, err := h.span(s.index + i)
		if err != nil {
			return nil, err
		}
		if old.class != classRest || int64(old.run) != i {
			return nil, damaged(h.p.entryOffset(old.index), "span %d is part of a big object, and does not say so", old.index)
		}
		all = append(all, h.p.newSpan(old.index, descriptor{used: true, base: old.base}))
	}
	return all, nil
}

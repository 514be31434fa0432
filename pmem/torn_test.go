package pmem

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestTornSectors stops each write in the life of a pool inside a sector, of which the front or the
// back is new: what was acknowledged is there, and the transaction under way is whole or absent.
func TestTornSectors(t *testing.T) {
	w := newWorld(t)
	var all []torn
	for i := 1; i < len(w.steps); i++ {
		for _, size := range sectors {
			all = append(all, w.torn(i, size)...)
		}
	}
	stride := 1
	if raceEnabled || testing.Short() {
		stride = 17
	} else if !nightly {
		stride = 3
	}
	c, start := new(tally), time.Now()
	w.each(t, len(all)/stride, func(i int, image []byte) error {
		at := all[i*stride]
		w.tear(at, image)
		acked := w.steps[at.step].acked
		legal := w.after[acked-1 : min(acked+1, len(w.after))]
		if err := try(image, c, true, func(bool) []contents { return legal }); err != nil {
			return fmt.Errorf("%+v: %w", at, err)
		}
		return nil
	})
	if c.refused.Load()+c.damaged.Load() > 0 {
		t.Error("a write that was interrupted is taken for damage")
	}
	t.Log(c, time.Since(start).Round(time.Millisecond))
}

// torn is a sector in which a write stopped.
type torn struct {
	step, sector, size int
	split              int
	front              bool // is new
	written            bool // and so is the rest of the step
}

// torn returns the ways in which a step can stop inside a sector. At a checkpoint the tail is
// written last: only its own sectors tear when the rest is there.
func (w *world) torn(i, size int) (all []torn) {
	old, now := w.steps[i-1].image, w.steps[i].image
	var changed []int
	for s := range len(now) / size {
		if !bytes.Equal(old[s*size:][:size], now[s*size:][:size]) {
			changed = append(changed, s)
		}
	}
	for _, s := range changed {
		for _, split := range []int{0, 8, 64, 72, size / 4, size / 2, size - 64, size - 8} {
			for _, front := range []bool{false, true} {
				tail, checkpoint := s*size < rootsOffset, changed[0]*size < rootsOffset
				if !tail {
					all = append(all, torn{i, s, size, split, front, false})
				}
				if tail || !checkpoint {
					all = append(all, torn{i, s, size, split, front, true})
				}
			}
		}
	}
	return all
}

func (w *world) tear(at torn, image []byte) {
	old, now := w.steps[at.step-1].image, w.steps[at.step].image
	from, to := at.sector*at.size, (at.sector+1)*at.size
	middle := from + at.split
	base, front, back := old, old, now
	if at.written {
		base = now
	}
	if at.front {
		front, back = now, old
	}
	copy(image, base)
	copy(image[from:middle], front[from:middle])
	copy(image[middle:to], back[middle:to])
}

package pmem

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

var sectors = []int{512, 4096}

// TestSectors replaces a sector of a pool by zeros, by ones, and by other sectors of it.
func TestSectors(t *testing.T) {
	w := newWorld(t)
	c, start := new(tally), time.Now()
	for _, size := range sectors {
		n := len(w.image) / size
		others := w.others(n)
		w.each(t, n*len(others), func(i int, image []byte) error {
			at, from := i/len(others), others[i%len(others)]
			sector := image[at*size:][:size]
			w.replace(sector, from, size, at)
			if bytes.Equal(sector, w.image[at*size:][:size]) {
				return nil
			}
			if err := try(image, c, true, w.legal(int64(at*size), int64(size))); err != nil {
				return fmt.Errorf("sector %d of %d bytes, from %d: %w", at, size, from, err)
			}
			return nil
		})
	}
	t.Log(c, time.Since(start).Round(time.Millisecond))
}

// others are the sectors that replace one: -1 is zeros, -2 ones, and the rest so far behind it.
func (w *world) others(n int) []int {
	all := []int{-1, -2, 1, 2, 7, 8, n - 1, n - 8}
	if nightly {
		all = []int{-1, -2}
		for i := 1; i < n; i++ {
			all = append(all, i)
		}
	}
	if raceEnabled || testing.Short() {
		all = []int{-1, 8}
	}
	return all
}

func (w *world) replace(sector []byte, from, size, at int) {
	switch from {
	case -1:
		clear(sector)
	case -2:
		copy(sector, bytes.Repeat([]byte{0xff}, size))
	default:
		n := len(w.image) / size
		copy(sector, w.image[(at+from)%n*size:][:size])
	}
}

// legal is what may be there when a sector of the log was lost: transactions at its end of which
// each has bytes there may be absent. The pool says that its log is torn, unless the first of
// them has its begin in the sector: then it is as if it never was.
func (w *world) legal(off, n int64) func(torn bool) []contents {
	k, silent := 0, false
	for i := len(w.heads) - 2; i >= 0; i-- {
		hit := false
		for at := w.heads[i]; at < w.heads[i+1]; at += 8 {
			place := logOffset + at%4096
			if inside := place >= off && place < off+n; inside {
				hit = true
				silent = silent || at < w.heads[i]+headerSize
			}
		}
		if !hit {
			break
		}
		k++
	}
	return func(torn bool) []contents {
		if torn || silent {
			return w.after[len(w.after)-1-k:]
		}
		return w.last()[1:]
	}
}

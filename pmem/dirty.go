package pmem

import "github.com/safevma/safevma/pmem/medium"

// dirty is what was put in place since the last checkpoint.
type dirty struct {
	all []medium.Extent
	// recent has those that are in all already, by their lines: words of bitmaps, and objects that
	// change again and again, are flushed once.
	recent [1 << 8]medium.Extent
}

func (d *dirty) add(e medium.Extent) {
	r := &d.recent[e.Off/line%int64(len(d.recent))]
	if *r == e {
		return
	}
	*r = e
	d.all = append(d.all, e)
}

func (d *dirty) clear() {
	d.all = d.all[:0]
	clear(d.recent[:])
}

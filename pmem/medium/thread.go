package medium

import (
	"runtime"

	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// Thread is a handle whose flushes, non-temporal stores and fences count as made by one
// thread: the goroutine stays on its thread until Unpin. It serves that goroutine alone.
type Thread struct {
	*Medium
	id      int
	pending []Extent // on PageCache: what the next fence syncs
}

// Pin locks the calling goroutine to its thread.
func (m *Medium) Pin() *Thread {
	runtime.LockOSThread()
	t := &Thread{Medium: m}
	if m.way == recorded {
		t.id = m.serial()
	}
	return t
}

// Unpin lets the goroutine move again. What was not fenced may never be durable.
func (t *Thread) Unpin() { runtime.UnlockOSThread() }

// Stream puts data at an offset by non-temporal stores. The offset and the length are
// multiples of 8. It is durable after the thread's next Fence.
func (t *Thread) Stream(off int64, data []byte, class Class) error {
	n := int64(len(data))
	if err := t.aligned("stream", off, n); err != nil || n == 0 {
		return err
	}
	switch {
	case t.way == dax:
		t.stream(off, data)
	case t.way == recorded:
		return t.recordStream(off, data, class)
	default:
		t.put(off, data)
		t.await(off, n)
	}
	return nil
}

// Flush starts the write-back of the lines of a range. What was stored there before is durable
// after the thread's next Fence.
func (t *Thread) Flush(off, n int64) error {
	if err := t.ready("flush", off, n); err != nil || n == 0 {
		return err
	}
	switch {
	case t.way == dax:
		t.flush(off, n)
	case t.way == recorded:
		t.point()
		if t.info.Kind == DAX {
			return t.recordFlush(t.id, off, n)
		}
	}
	t.await(off, n)
	return nil
}

// Fence waits until all that the thread flushed and streamed is durable. On PageCache that is
// a sync of the range, or of the file where there are several.
func (t *Thread) Fence() error {
	if err := t.ready("fence", 0, 0); err != nil {
		return err
	}
	switch {
	case t.way == dax:
		line.Fence()
		return nil
	case t.way == recorded && t.info.Kind == DAX:
		t.point()
		return t.recordFence(t.id)
	case len(t.pending) == 0:
		return nil
	}
	all := t.pending
	t.pending = t.pending[:0]
	if len(all) == 1 {
		return t.Persist(all[0].Off, all[0].Len)
	}
	return t.PersistAll(all)
}

// await keeps in mind what a fence has to sync.
func (t *Thread) await(off, n int64) {
	if t.info.Kind != PageCache {
		return
	}
	if len(t.pending) == 2 {
		return // more than one is a sync of the file
	}
	t.pending = append(t.pending, Extent{off, n})
}

func (t *Thread) recordStream(off int64, data []byte, class Class) error {
	t.point()
	if t.info.Kind == DAX {
		return t.hear(Stream, t.id, off, data, class)
	}
	t.await(off, int64(len(data)))
	return t.hear(Store, 0, off, data, class)
}

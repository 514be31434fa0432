package crash

import (
	"encoding/binary"
	"fmt"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// An image, as the models know it, is the bytes of the medium up to its largest size, and
// behind them a page with the attributes of the file, a word each.
const (
	attributes = 4096
	sizeWord   = 0 // the length of the medium
	linkWord   = 8 // 1 if the file has its name
)

// newImage is that of a new medium.
func (w *workload) newImage() []byte {
	image := make([]byte, w.most+attributes)
	binary.LittleEndian.PutUint64(image[w.most+sizeWord:], uint64(w.size))
	return image
}

// newMedium is a medium whose bytes are those of an image.
func (w *workload) newMedium(image []byte, model state.Model, r medium.Recorder) (*medium.Medium, error) {
	size := int64(binary.LittleEndian.Uint64(image[w.most+sizeWord:]))
	if size < 0 || size > w.most {
		return nil, fmt.Errorf("a medium of %d bytes, that has %d at most", size, w.most)
	}
	return medium.Record(image[:size:w.most], medium.Emulation{Kind: kindOf(model), Unit: model.Unit}, r)
}

// kindOf is the kind of medium on which a model is explored.
func kindOf(m state.Model) medium.Kind {
	if m.Domain == state.PageCache || m.Unit >= 512 {
		return medium.PageCache
	}
	return medium.DAX
}

// translate says what an event of the medium is to the models: one event or two.
func (w *workload) translate(e medium.Event) []Event {
	v := Event{Class: e.Class, Event: state.Event{Thread: e.Thread, Off: e.Off, Len: e.Len, ID: e.ID, Data: e.Data}}
	attribute := func(word int64, value uint64) Event {
		return Event{Event: state.Event{Kind: state.Attribute, Off: w.most + word, Len: state.Word, Data: binary.LittleEndian.AppendUint64(nil, value)}}
	}
	covers := func(word int64) Event {
		return Event{Event: state.Event{Kind: state.SyncBegin, ID: e.ID, Off: w.most + word, Len: state.Word}}
	}
	switch e.Action {
	case medium.Store:
		v.Kind = state.Store
	case medium.Stream:
		v.Kind = state.Stream
	case medium.Flush:
		v.Kind = state.Flush
	case medium.Fence:
		v.Kind = state.Fence
	case medium.SyncBegin:
		v.Kind = state.SyncBegin
		switch e.Scope {
		case medium.File:
			return []Event{v, covers(sizeWord)}
		case medium.Directory:
			return []Event{covers(linkWord)}
		}
	case medium.SyncEnd:
		v.Kind, v.Off, v.Len = state.SyncEnd, 0, 0
	case medium.Extend:
		v.Kind, v.Len = state.Zero, e.Len-e.Off
		return []Event{v, attribute(sizeWord, uint64(e.Len))}
	case medium.Allocate: // what a failure finds does not depend on it
		return nil
	case medium.Link:
		return []Event{attribute(linkWord, 1)}
	}
	return []Event{v}
}

// put makes an event's change to an image.
func (e *Event) put(image []byte) {
	if e.Kind == state.Zero {
		clear(image[e.Off : e.Off+e.Len])
	}
	copy(image[e.Off:], e.Data)
}

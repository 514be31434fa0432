package crash

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// ReplayFormat names the form of a replay file.
const ReplayFormat = "safevma.crash-replay/v1"

// Replay is one failing image and what it should have been, to be recovered again: by the same
// code, or by code that was mended.
type Replay struct {
	Format  string      `json:"format"`
	Failure *Failure    `json:"failure"`
	Model   state.Model `json:"model"`
	Size    int64       `json:"size"`
	Image   []byte      `json:"image"` // gzip, in base64
	Allowed []string    `json:"allowed,omitempty"`
	Absent  bool        `json:"absent,omitempty"` // nothing at all is allowed too
	Any     bool        `json:"any,omitempty"`    // no dump was made
	Linked  bool        `json:"linked,omitempty"` // the file is there only if it has its name
	// Damaged: bits were flipped, or blocks poisoned, and recovery may say so. Poisoned are the
	// offsets of blocks of 64 bytes that can't be read.
	Damaged  bool    `json:"damaged,omitempty"`
	Poisoned []int64 `json:"poisoned,omitempty"`
}

// ErrReplay reports a file that is no replay, or one of something else.
var ErrReplay = errors.New("bad replay file")

func newReplay(f *Failure, image []byte, l *legal) *Replay {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(image) // to a buffer
	w.Close()
	return &Replay{
		Format: ReplayFormat, Failure: f, Model: f.Model, Size: int64(len(image)), Image: packed.Bytes(),
		Allowed: slices.Sorted(maps.Keys(l.dumps)), Absent: l.absent, Any: l.any,
	}
}

// Marshal returns the file.
func (r *Replay) Marshal() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

const maxReplay = 1 << 30

// ParseReplay reads a replay file.
func ParseReplay(text []byte) (*Replay, error) {
	var r Replay
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReplay, err)
	}
	if r.Format != ReplayFormat {
		return nil, fmt.Errorf("%w: format %q, this is %s", ErrReplay, r.Format, ReplayFormat)
	}
	if err := r.Model.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReplay, err)
	}
	if r.Size <= 0 || r.Size > maxReplay {
		return nil, fmt.Errorf("%w: an image of %d bytes", ErrReplay, r.Size)
	}
	return &r, nil
}

// image unpacks the image.
func (r *Replay) image() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(r.Image))
	if err != nil {
		return nil, fmt.Errorf("%w: image: %w", ErrReplay, err)
	}
	image, err := io.ReadAll(io.LimitReader(z, r.Size+1))
	if err != nil || int64(len(image)) != r.Size {
		return nil, fmt.Errorf("%w: image: %d bytes of %d, %v", ErrReplay, len(image), r.Size, err)
	}
	return image, nil
}

// RunReplay recovers the image of a replay file with the workload's code. It returns nil if the
// state is one that was allowed.
func RunReplay[S any](w Workload[S], r *Replay) error {
	u, err := w.untyped()
	if err != nil {
		return err
	}
	if u.most+attributes != r.Size {
		return fmt.Errorf("%w: for a medium of %d bytes, the workload has %d", ErrReplay, r.Size-attributes, u.most)
	}
	image, err := r.image()
	if err != nil {
		return err
	}
	p := newProber(u, r.Model)
	p.linked = r.Linked
	for _, off := range r.Poisoned {
		p.poison[off/decision.Block] = true
	}
	defer p.close()
	_, o := p.run(decision.Box{Base: image}, nil)
	l := &legal{absent: r.Absent, any: r.Any, dumps: map[string]bool{}}
	for _, dump := range r.Allowed {
		l.dumps[dump] = true
	}
	if r.Damaged {
		return l.silent(o)
	}
	return l.judge(o)
}

package crash

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// Failure is a state that does not recover as it should, made as small as it gets.
type Failure struct {
	Model     state.Model `json:"model"`
	Seed      uint64      `json:"seed"` // of the schedule
	Message   string      `json:"message"`
	Operation string      `json:"operation"` // in flight, or acknowledged last
	Moment    string      `json:"moment"`    // of the crash, in words
	Place     string      `json:"place"`     // of the workload at the crash
	Parts     []Part      `json:"parts"`     // what was not durable: what of it is there
	Nested    bool        `json:"nested"`    // a second crash, in recovery
	Replay    *Replay     `json:"-"`
	err       error
}

// Part is a line, word or sector that the failure decided.
type Part struct {
	Off     int64    `json:"off"`
	Len     int      `json:"len"`
	Content string   `json:"content"` // in hex, of the failing image
	There   []string `json:"there"`   // stores that are durable, with their places
	Lost    []string `json:"lost"`    // stores that are not
}

func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.Model, f.Message)
	fmt.Fprintf(&b, "crash %s", f.Moment)
	if f.Place != "" {
		fmt.Fprintf(&b, ", at %s", f.Place)
	}
	b.WriteString("\n")
	for _, p := range f.Parts {
		fmt.Fprintf(&b, "  %d..%d holds %s\n", p.Off, p.Off+int64(p.Len), p.Content)
		for _, s := range p.There {
			fmt.Fprintf(&b, "    durable: %s\n", s)
		}
		for _, s := range p.Lost {
			fmt.Fprintf(&b, "    lost:    %s\n", s)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// Unwrap gives what was wrong.
func (f *Failure) Unwrap() error { return f.err }

// scene is an image that fails.
type scene struct {
	box   decision.Box
	picks []int
	legal *legal
	first *first // in a nested crash: the recovery that crashed

	damaged  bool // on purpose: recovery may say so
	poisoned []int64
}

// first is a recovery that crashes.
type first struct {
	box    decision.Box // what it runs on
	picks  []int
	at     int // the event at which it crashes
	events []Event
	killed bool // the process was, before it: what the caches held was there to be read
}

// moment says when it crashes.
func (f *first) moment() string {
	switch {
	case !f.killed:
		return fmt.Sprintf(", and again after %d calls of the medium in recovery", f.at)
	case f.at < len(f.events):
		return fmt.Sprintf("; it ended the process alone, and the power failed after %d calls of the medium in recovery", f.at)
	}
	return "; it ended the process alone, and the power failed when recovery was through and had shown what is allowed"
}

// placed is the same recovery, with the places of its stores.
func (e *explorer) placed(f *first) []Event {
	e.prober.traced = true
	defer func() { e.prober.traced = false }()
	if _, o := e.prober.run(f.box, f.picks); len(o.events) == len(f.events) {
		return o.events
	}
	return f.events
}

// fail makes a failure of an error. The scene is nil where the trace itself is wrong.
func (e *explorer) fail(err error, sc *scene) error {
	f := &Failure{Model: e.model, Seed: e.t.seed, err: err, Message: err.Error(), Parts: []Part{}}
	e.describe(f)
	if sc == nil {
		return f
	}
	if sc.picks = e.minimise(sc); !errors.Is(err, errSilent) {
		if _, o := e.prober.run(sc.box, sc.picks); sc.legal.judge(o) != nil {
			f.err = sc.legal.judge(o)
			f.Message = f.err.Error()
		}
	}
	if f.Nested = sc.first != nil; f.Nested {
		f.Moment += sc.first.moment()
	}
	f.Parts = e.parts(sc)
	if errors.Is(err, state.ErrMixed) {
		return f // of the stores of recovery, whatever becomes of its image
	}
	f.Replay = newReplay(f, sc.image(), sc.legal)
	f.Replay.Linked, f.Replay.Damaged, f.Replay.Poisoned = e.prober.linked, sc.damaged, sc.poisoned
	return f
}

// describe says when the crash was.
func (e *explorer) describe(f *Failure) {
	if len(e.t.events) == 0 {
		f.Moment = "before the first event"
		return
	}
	defer func() {
		if e.t.life != nil {
			f.Moment += "; in the life after a crash " + e.t.life.moment
		}
		f.Moment += e.t.failure(e.at)
	}()
	ev := e.t.events[min(e.at, len(e.t.events)-1)]
	f.Place = chain(ev.PCs)
	f.Moment = fmt.Sprintf("at event %d of %d", e.at, len(e.t.events))
	for i := min(e.at, len(e.t.events)-1); i >= 0; i-- {
		n := e.t.events[i].note
		if n == nil || i == e.at && n.legal != e.legal { // a moment that has not come yet
			continue
		}
		f.Operation = n.name
		switch {
		case n.moment == begin:
			f.Moment += fmt.Sprintf(", in %s", n.name)
		case n.failed:
			f.Moment += fmt.Sprintf(", after %s returned an error", n.name)
		default:
			f.Moment += fmt.Sprintf(", after %s was acknowledged", n.name)
		}
		return
	}
}

// image is the content of the medium in a scene.
func (sc *scene) image() []byte {
	image := slices.Clone(sc.box.Base)
	for i, c := range sc.box.Cells() {
		c.Versions[sc.picks[i]].Put(image[c.Off:], 0, c.Len)
	}
	return image
}

// minimise finds an image that still fails and that differs in as few cells as it gets from
// the one where nothing is lost, or from the one where all is lost, whichever is nearer.
func (e *explorer) minimise(sc *scene) []int {
	cells := sc.box.Cells()
	all, none := make([]int, len(cells)), make([]int, len(cells))
	for i, c := range cells {
		all[i] = len(c.Versions) - 1
	}
	best := sc.picks
	fewest := len(cells) + 1
	for _, near := range [][]int{all, none} {
		picks := e.towards(sc, near)
		if n := apart(picks, near); n < fewest {
			best, fewest = picks, n
		}
	}
	return best
}

func apart(a, b []int) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// towards takes over, part by part, what can be taken over without mending the failure:
// first halves, then quarters, at last single cells (delta debugging, Zeller 1999).
func (e *explorer) towards(sc *scene, near []int) []int {
	picks := slices.Clone(sc.picks)
	for size := max(1, len(picks)/2); ; size /= 2 {
		for again := true; again; {
			again = false
			for from := 0; from < len(picks); from += size {
				try := slices.Clone(picks)
				copy(try[from:min(len(try), from+size)], near[from:])
				if !slices.Equal(try, picks) && e.fails(sc, try) {
					picks, again = try, true
				}
			}
		}
		if size <= 1 {
			break
		}
	}
	return e.nearer(sc, picks, near)
}

// nearer moves each cell, version by version, as near as the failure allows.
func (e *explorer) nearer(sc *scene, picks, near []int) []int {
	for i := range picks {
		for picks[i] != near[i] {
			try := slices.Clone(picks)
			if try[i]++; near[i] < picks[i] {
				try[i] = picks[i] - 1
			}
			if !e.fails(sc, try) {
				break
			}
			picks = try
		}
	}
	return picks
}

func (e *explorer) fails(sc *scene, picks []int) bool {
	_, o := e.prober.run(sc.box, picks)
	return sc.legal.judge(o) != nil
}

// parts lists what the failure decided. The stores of the top layer are those of recovery, if
// that crashed; in a restart, which has one layer, they come after those of the workload.
func (e *explorer) parts(sc *scene) []Part {
	all, n := []Part{}, 0
	var nested []Event
	if sc.first != nil {
		nested = e.placed(sc.first)
	}
	for l, cells := range sc.box.Layers {
		events := slices.Concat(e.t.events, nested)
		if l > 0 {
			events = nested
		}
		for _, c := range cells {
			if len(c.Versions) > 1 {
				all = append(all, newPart(c, sc.picks[n], events))
			}
			n++
		}
	}
	return all
}

func newPart(c *state.Cell, pick int, events []Event) Part {
	v, last := c.Versions[pick], c.Versions[len(c.Versions)-1]
	p := Part{Off: c.Off, Len: c.Len, Content: hexWords(v.Data), There: []string{}, Lost: []string{}}
	for _, i := range last.Stores {
		if i >= len(events) {
			continue
		}
		if text := storeText(&events[i]); slices.Contains(v.Stores, i) {
			p.There = append(p.There, text)
		} else {
			p.Lost = append(p.Lost, text)
		}
	}
	return p
}

func storeText(e *Event) string {
	return fmt.Sprintf("%d bytes at %d, %s", len(e.Data), e.Off, chain(e.PCs))
}

// hexWords shows bytes in words of 8, the first ones of many.
func hexWords(data []byte) string {
	const most = 64
	var words []string
	for i := 0; i < len(data) && i < most; i += state.Word {
		words = append(words, fmt.Sprintf("%x", data[i:min(len(data), i+state.Word)]))
	}
	if len(data) > most {
		words = append(words, "…")
	}
	return strings.Join(words, " ")
}

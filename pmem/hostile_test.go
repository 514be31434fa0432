package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// nightly asks for the exhaustive forms of tests.
var nightly = os.Getenv("SAFEVMA_NIGHTLY") != ""

// injector is a recorder that makes events and reads fail.
type injector struct {
	event func(e medium.Event) error
	read  func(off, n int64) error
}

func (i *injector) Event(e medium.Event) error {
	if i.event == nil {
		return nil
	}
	return i.event(e)
}

func (i *injector) Read(off, n int64) error {
	if i.read == nil {
		return nil
	}
	return i.read(off, n)
}

// hostileOptions make a pool small, with spans whose slots take objects that go past the log.
func hostileOptions() Options {
	seed := uint64(0)
	return Options{LogSize: 4096, LogExtent: 1024, SpanSize: 8192, Rand: func() uint64 { seed += 0x9e3779b97f4a7c15; return seed }}
}

const (
	hostileHeap = 32768
	hostileSize = hostileHeap + 20*8192
)

// openImage opens the pool in an image, which changes.
func openImage(image []byte, kind medium.Kind, i *injector) (*Pool, error) {
	m, err := medium.Record(image, medium.Emulation{Kind: kind}, i)
	if err != nil {
		return nil, err
	}
	o := hostileOptions()
	o.Rand = rand.Uint64
	return OpenOn(m, o)
}

// item is one that a pool has, and what is in it.
type item struct {
	name string
	ref  uint64
	size int64
	want []byte
	read func(tx *Tx) ([]byte, error)
	free func(tx *Tx) error
	root string // that refers to it
}

func bytesItem(name string, r Ref[Bytes], want []byte) item {
	return item{name, r.word, int64(len(want)), want, func(tx *Tx) ([]byte, error) { return AppendBytes(tx, r, nil) },
		func(tx *Tx) error { return Free(tx, r) }, ""}
}

func lentItem(name string, r Ref[Bytes], want []byte) item {
	o := bytesItem(name, r, want)
	o.read = func(tx *Tx) ([]byte, error) { b, err := BorrowBytes(tx, r); return bytes.Clone(b), err }
	return o
}

func typedItem[T any](name string, r Ref[T], v T) item {
	return item{name, r.word, int64(len(bytesOf(&v))), bytesOf(&v), func(tx *Tx) ([]byte, error) { v, err := Get(tx, r); return bytesOf(&v), err },
		func(tx *Tx) error { return Free(tx, r) }, ""}
}

// contents is what a pool has after a transaction.
type contents struct{ live, freed []item }

// step is what is durable after an event, and how many transactions were acknowledged before.
type step struct {
	image []byte
	acked int
}

// world is the image of a pool after a power failure, and what was in it after each transaction.
type world struct {
	image []byte
	now   contents
	after []contents
	steps []step
	heads []int64 // of the log, before each transaction of it that is live, and at the end
}

var wideType = reflect.TypeFor[wide]()

// wide is a type of several blocks.
type wide struct {
	Key  uint64
	Text [600]byte
}

func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed*31 + i*7 + i>>8)
	}
	return b
}

// newWorld makes a pool with objects of all kinds, and live records. Nothing since the last
// checkpoint is in place.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{image: make([]byte, hostileSize), after: make([]contents, 1)}
	p, err := CreateOn(w.record(t, make([]byte, hostileSize)), hostileOptions())
	if err != nil {
		t.Fatal(err)
	}
	w.steps = nil
	w.fill(t, p)
	return w // not closed
}

// record returns a medium of which the world keeps what is durable.
func (w *world) record(t testing.TB, memory []byte) *medium.Medium {
	t.Helper()
	m, err := medium.Record(memory, medium.Emulation{Kind: medium.DAX}, &injector{event: func(e medium.Event) error {
		if e.Class == medium.Superblock { // the end of a checkpoint
			copy(w.image, memory)
		}
		if e.Class != medium.Apply && len(e.Data) > 0 {
			copy(w.image[e.Off:], e.Data)
			w.steps = append(w.steps, step{bytes.Clone(w.image), len(w.after)})
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// more opens the pool again, to add to the world.
func (w *world) more(t testing.TB) *Pool {
	t.Helper()
	w.image = bytes.Clone(w.image)
	p, err := OpenOn(w.record(t, bytes.Clone(w.image)), hostileOptions())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// update commits a transaction that returns the objects that it makes.
func (w *world) update(t testing.TB, p *Pool, fn func(tx *Tx) ([]item, error)) {
	t.Helper()
	var made []item
	if err := p.Update(ctx, func(tx *Tx) (err error) { made, err = fn(tx); return err }); err != nil {
		t.Fatal(err)
	}
	w.now.live = append(w.now.live, made...)
	w.after = append(w.after, contents{slices.Clone(w.now.live), slices.Clone(w.now.freed)})
}

// fill makes the objects.
func (w *world) fill(t testing.TB, p *Pool) {
	t.Helper()
	for i, n := range []int{0, 30, 100, 300, 1000, 1500, 1500, 5000, 9000} {
		w.update(t, p, func(tx *Tx) ([]item, error) {
			r, err := AllocBytes(tx, pattern(i, n))
			return []item{bytesItem(fmt.Sprintf("%d bytes", n), r, pattern(i, n))}, err
		})
	}
	for i, n := range []int{200, 1800, 20000} {
		w.update(t, p, func(tx *Tx) ([]item, error) {
			r, err := AllocImmutableBytes(tx, pattern(-i, n))
			o := lentItem(fmt.Sprintf("lent %d", n), r, pattern(-i, n))
			o.root = o.name
			return []item{o}, errors.Join(err, SetRoot(tx, o.root, r))
		})
	}
	for i := range 4 {
		w.update(t, p, func(tx *Tx) ([]item, error) {
			v := account{Balance: int64(i)}
			r, err := Alloc(tx, v)
			return []item{typedItem(fmt.Sprintf("account %d", i), r, v)}, err
		})
	}
	for i := range 3 {
		o := w.take(fmt.Sprintf("account %d", i))
		w.now.freed = append(w.now.freed, o)
		w.update(t, p, func(tx *Tx) ([]item, error) { return nil, Free(tx, Ref[account]{o.ref}) })
	}
	for i := range 2 {
		w.update(t, p, func(tx *Tx) ([]item, error) {
			v := account{Balance: int64(100 + i), Owner: [48]byte{'o', byte(i)}}
			r, err := Alloc(tx, v)
			o := typedItem(fmt.Sprintf("again %d", i), r, v)
			o.root = o.name
			return []item{o}, errors.Join(err, SetRoot(tx, o.root, r))
		})
	}
	w.update(t, p, func(tx *Tx) ([]item, error) {
		v := wide{Key: 7, Text: [600]byte(pattern(3, 600))}
		r, err := Alloc(tx, v)
		return []item{typedItem("wide", r, v)}, err
	})
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	w.fillLog(t, p)
}

// fillLog makes records that stay in the log.
func (w *world) fillLog(t testing.TB, p *Pool) {
	t.Helper()
	set := func(tx *Tx, name string, balance int64) (item, error) {
		old := w.take(name)
		r, v := Ref[account]{old.ref}, account{Balance: balance}
		o := typedItem(name, r, v)
		o.root = old.root
		return o, Set(tx, r, v)
	}
	w.heads = append(w.heads, p.head.at)
	w.update(t, p, func(tx *Tx) ([]item, error) { o, err := set(tx, "again 0", 500); return []item{o}, err })
	w.heads = append(w.heads, p.head.at)
	w.update(t, p, func(tx *Tx) ([]item, error) { // a chain
		r, err := AllocBytes(tx, pattern(9, 900))
		return []item{bytesItem("chained", r, pattern(9, 900))}, err
	})
	big := w.take("9000 bytes")
	big.want = bytes.Clone(big.want)
	copy(big.want[700:], "changed")
	w.heads = append(w.heads, p.head.at)
	w.update(t, p, func(tx *Tx) ([]item, error) {
		r, err := AllocBytes(tx, pattern(11, 80))
		last := bytesItem("last", r, pattern(11, 80))
		o, e := set(tx, "again 1", 900)
		return []item{last, o, big}, errors.Join(err, e, SetBytes(tx, Ref[Bytes]{big.ref}, 700, []byte("changed")))
	})
	w.heads = append(w.heads, p.head.at)
}

// take takes an object off what there is now.
func (w *world) take(name string) item {
	i := slices.IndexFunc(w.now.live, func(o item) bool { return o.name == name })
	o := w.now.live[i]
	w.now.live = slices.Delete(w.now.live, i, i+1)
	return o
}

// last is what is there after the last transaction, and before it.
func (w *world) last() []contents { return w.after[len(w.after)-2:] }

func (c *contents) find(name string) *item {
	return &c.live[slices.IndexFunc(c.live, func(o item) bool { return o.name == name })]
}

// honest reports an error that says that something is wrong with the pool.
func honest(err error) bool {
	return errors.Is(err, ErrDamage) || errors.Is(err, medium.ErrFault)
}

// look reads an object: what is there, or an error that says that it is damaged.
func look(p *Pool, o *item) (got []byte, damaged bool, err error) {
	err = p.View(ctx, func(tx *Tx) (err error) { got, err = o.read(tx); return err })
	if honest(err) {
		return nil, true, nil
	}
	return got, false, err
}

// seen is what was found of a world.
type seen struct {
	all     []item // that read right
	damaged []item

	poisoned bool // what is written may be where it can't be read
}

// check reads everything: each object is right, as it was after one of some transactions, or
// damaged and says so.
func check(p *Pool, legal ...contents) (s seen, err error) {
	for _, c := range legal {
		if s, err = c.check(p); err == nil {
			break
		}
	}
	return s, err
}

func (c *contents) check(p *Pool) (s seen, err error) {
	for i := range c.live {
		o := &c.live[i]
		got, bad, err := look(p, o)
		switch {
		case err != nil:
			return s, fmt.Errorf("%s: %w", o.name, err)
		case bad:
			s.damaged = append(s.damaged, *o)
			continue
		case !bytes.Equal(got, o.want):
			return s, fmt.Errorf("%s (%d bytes) is wrong, and nothing says so; torn: %v", o.name, len(got), p.Info().Recovery.Torn)
		}
		s.all = append(s.all, *o)
		if err := checkRoot(p, o); err != nil {
			return s, err
		}
	}
	for i := range c.freed {
		if _, bad, err := look(p, &c.freed[i]); !bad && !errors.Is(err, ErrStale) {
			return s, fmt.Errorf("%s was freed: %v", c.freed[i].name, err)
		}
	}
	return s, nil
}

func checkRoot(p *Pool, o *item) error {
	if o.root == "" {
		return nil
	}
	var word uint64
	err := p.View(ctx, func(tx *Tx) error {
		_, e, err := tx.findRoot(o.root)
		word = e.ref
		return err
	})
	if honest(err) || err == nil && word == o.ref {
		return nil
	}
	return fmt.Errorf("root %q: %#x, %w", o.root, word, err)
}

// abuse allocates, changes and frees in a pool that may be damaged. What it makes is right, what
// was right stays so, and nobody writes where something damaged is.
func (s *seen) abuse(p *Pool, image []byte) error {
	raw := map[int64][]byte{}
	for _, o := range s.damaged {
		off := Ref[Bytes]{o.ref}.Offset()
		raw[off] = bytes.Clone(image[off : off+spaceOf(o.size)])
	}
	var made []item
	for i, n := range []int{20, 20, 60, 100, 100, 300, 1000, 1500, 1500, 5000, 9000, 70, 20} {
		err := p.Update(ctx, func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i+50, n))
			if err == nil {
				made = append(made, bytesItem(fmt.Sprintf("new, %d bytes", n), r, pattern(i+50, n)))
			}
			return err
		})
		if err != nil && !honest(err) && !errors.Is(err, ErrFull) {
			return fmt.Errorf("alloc of %d bytes: %w", n, err)
		}
		if i%4 == 3 && len(made) > 0 {
			if err := p.Update(ctx, func(tx *Tx) error { return Free(tx, Ref[Bytes]{made[0].ref}) }); err != nil && !honest(err) {
				return fmt.Errorf("free of %s: %w", made[0].name, err)
			}
			made = made[1:]
		}
	}
	if s.poisoned && p.broken() != nil { // a record could not be put in place: nothing can be read
		return nil
	}
	for i, o := range append(made, s.all...) {
		got, bad, err := look(p, &o)
		if s.poisoned && bad { // the read that fails may have been this one
			got, bad, err = look(p, &o)
		}
		if s.poisoned && bad && i < len(made) {
			continue
		}
		if err != nil || bad || !bytes.Equal(got, o.want) {
			return fmt.Errorf("%s was right, and is not after others were allocated: damaged %v, %w", o.name, bad, err)
		}
	}
	for off, was := range raw {
		if !bytes.Equal(image[off:][:len(was)], was) {
			return fmt.Errorf("the damaged object at %d was overwritten", off)
		}
	}
	return s.freeAll(p)
}

// freeAll frees what is right, and makes more in its place.
func (s *seen) freeAll(p *Pool) error {
	for i, o := range s.all {
		if i%2 == 1 {
			continue
		}
		err := p.Update(ctx, o.free)
		if err != nil && !honest(err) {
			return fmt.Errorf("free of %s: %w", o.name, err)
		}
	}
	for i := range 12 {
		var r Ref[Bytes]
		want := pattern(i, 25*i)
		err := p.Update(ctx, func(tx *Tx) (err error) { r, err = AllocBytes(tx, want); return err })
		if honest(err) || errors.Is(err, ErrFull) {
			continue
		}
		o := bytesItem("new after frees", r, want)
		got, bad, e := look(p, &o)
		if s.poisoned && bad {
			continue
		}
		if err != nil || e != nil || bad || !bytes.Equal(got, want) {
			return fmt.Errorf("an object made after frees: damaged %v, %w", bad, errors.Join(err, e))
		}
	}
	if s.poisoned && p.broken() != nil {
		return nil
	}
	for i, o := range s.all {
		got, bad, err := look(p, &o)
		if s.poisoned && bad {
			got, bad, err = look(p, &o)
		}
		if i%2 == 1 && (err != nil || bad || !bytes.Equal(got, o.want)) {
			return fmt.Errorf("%s was right, and is not after others were freed: damaged %v, %w", o.name, bad, err)
		}
	}
	return nil
}

// tally is what became of the images that were tried.
type tally struct{ images, refused, damaged, torn, right atomic.Int64 }

func (c *tally) String() string {
	return fmt.Sprintf("%d images: %d refused, %d with damaged objects, %d torn, %d right", c.images.Load(), c.refused.Load(), c.damaged.Load(), c.torn.Load(), c.right.Load())
}

// try opens a damaged image, and reads and uses it. Where the log is torn, its last transaction may
// be absent as a whole.
func (w *world) try(image []byte, c *tally, use bool) error {
	last := w.last()
	return try(image, c, use, func(torn bool) []contents {
		if torn {
			return last
		}
		return last[1:]
	})
}

func try(image []byte, c *tally, use bool, legal func(torn bool) []contents) error {
	return tryOn(image, new(injector), c, use, legal)
}

func tryOn(image []byte, in *injector, c *tally, use bool, legal func(torn bool) []contents) (err error) {
	defer func() {
		if r := recover(); r != nil {
			buf := make([]byte, 4096)
			err = fmt.Errorf("panic: %v\n%s", r, buf[:runtime.Stack(buf, false)])
		}
	}()
	c.images.Add(1)
	p, err := openImage(image, medium.DAX, in)
	if err != nil {
		c.refused.Add(1)
		if honest(err) || errors.Is(err, ErrNoPool) {
			return nil
		}
		return fmt.Errorf("open: %w", err)
	}
	s, err := check(p, legal(p.Info().Recovery.Torn)...)
	if err != nil {
		return err
	}
	switch {
	case len(s.damaged) > 0:
		c.damaged.Add(1)
	case p.Info().Recovery.Torn:
		c.torn.Add(1)
	default:
		c.right.Add(1)
	}
	if s.poisoned = in.read != nil; !use {
		return nil
	}
	if err := s.abuse(p, image); err != nil {
		return err
	}
	return p.Close()
}

// each runs fn for each number below n, on all CPUs, with an image of its own that is that of the
// world again and again.
func (w *world) each(t *testing.T, n int, fn func(i int, image []byte) error) {
	t.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			image := make([]byte, len(w.image))
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				copy(image, w.image)
				if err := fn(i, image); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestWorld(t *testing.T) {
	w := newWorld(t)
	c := new(tally)
	if err := w.try(w.image, c, true); err != nil || c.right.Load() != 1 {
		t.Errorf("%v, %v", err, c)
	}
}

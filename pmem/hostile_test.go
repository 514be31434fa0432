package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
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

// object is one that a pool has, and what is in it.
type object struct {
	name string
	ref  uint64
	size int64
	want []byte
	read func(tx *Tx) ([]byte, error)
	root string // that refers to it
}

func bytesObject(name string, r Ref[Bytes], want []byte) object {
	return object{name, r.word, int64(len(want)), want, func(tx *Tx) ([]byte, error) { return AppendBytes(tx, r, nil) }, ""}
}

func lentObject(name string, r Ref[Bytes], want []byte) object {
	o := bytesObject(name, r, want)
	o.read = func(tx *Tx) ([]byte, error) { b, err := BorrowBytes(tx, r); return bytes.Clone(b), err }
	return o
}

func typedObject[T any](name string, r Ref[T], v T) object {
	return object{name, r.word, int64(len(bytesOf(&v))), bytesOf(&v), func(tx *Tx) ([]byte, error) { v, err := Get(tx, r); return bytesOf(&v), err }, ""}
}

// world is the image of a pool, and what is in it with and without its last transaction.
type world struct {
	image         []byte
	before, after []object
	freed         []object
}

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

// newWorld makes a pool with objects of all kinds, and live records.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{image: make([]byte, hostileSize)}
	memory := make([]byte, hostileSize)
	m, err := medium.Record(memory, medium.Emulation{Kind: medium.DAX}, &injector{event: func(e medium.Event) error {
		switch {
		case e.Class == medium.Superblock: // the end of a checkpoint
			copy(w.image, memory)
			fallthrough
		case e.Class != medium.Apply:
			copy(w.image[e.Off:], e.Data)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(m, hostileOptions())
	if err != nil {
		t.Fatal(err)
	}
	w.fill(t, p)
	return w // not closed, and nothing since the checkpoint is in place: the power failed
}

func (w *world) fill(t testing.TB, p *Pool) {
	t.Helper()
	must := func(fn func(tx *Tx) error) {
		t.Helper()
		if err := p.Update(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	add := func(o object, root string) { o.root = root; w.after = append(w.after, o) }
	for i, n := range []int{0, 30, 100, 300, 1000, 1500, 1500, 5000, 9000} {
		must(func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i, n))
			add(bytesObject(fmt.Sprintf("%d bytes", n), r, pattern(i, n)), "")
			return err
		})
	}
	for i, n := range []int{200, 1800, 20000} {
		must(func(tx *Tx) error {
			r, err := AllocImmutableBytes(tx, pattern(-i, n))
			root := fmt.Sprintf("lent %d", n)
			add(lentObject(root, r, pattern(-i, n)), root)
			return errors.Join(err, SetRoot(tx, root, r))
		})
	}
	var gone []Ref[account]
	for i := range 4 {
		must(func(tx *Tx) error {
			r, err := Alloc(tx, account{Balance: int64(i)})
			gone = append(gone, r)
			return err
		})
	}
	for i, r := range gone[:3] {
		must(func(tx *Tx) error { return Free(tx, r) })
		w.freed = append(w.freed, typedObject(fmt.Sprintf("freed account %d", i), r, account{}))
	}
	add(typedObject("account", gone[3], account{Balance: 3}), "")
	var accounts []Ref[account]
	for i := range 2 {
		must(func(tx *Tx) error {
			v := account{Balance: int64(100 + i), Owner: [48]byte{'o', byte(i)}}
			r, err := Alloc(tx, v)
			accounts = append(accounts, r)
			add(typedObject(fmt.Sprintf("again %d", i), r, v), fmt.Sprintf("account %d", i))
			return errors.Join(err, SetRoot(tx, fmt.Sprintf("account %d", i), r))
		})
	}
	must(func(tx *Tx) error {
		v := wide{Key: 7, Text: [600]byte(pattern(3, 600))}
		r, err := Alloc(tx, v)
		add(typedObject("wide", r, v), "")
		return err
	})
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	must(func(tx *Tx) error { return Set(tx, accounts[0], account{Balance: 500}) })
	w.set("again 0", typedObject("", accounts[0], account{Balance: 500}).want)
	must(func(tx *Tx) error { // a chain
		r, err := AllocBytes(tx, pattern(9, 900))
		add(bytesObject("chained", r, pattern(9, 900)), "")
		return err
	})
	w.before = slices.Clone(w.after)
	big := w.find("9000 bytes")
	must(func(tx *Tx) error {
		r, err := AllocBytes(tx, pattern(11, 80))
		add(bytesObject("last", r, pattern(11, 80)), "")
		return errors.Join(err, SetBytes(tx, Ref[Bytes]{big.ref}, 700, []byte("changed")), Set(tx, accounts[1], account{Balance: 900}))
	})
	now := bytes.Clone(big.want)
	copy(now[700:], "changed")
	w.set("9000 bytes", now)
	w.set("again 1", typedObject("", accounts[1], account{Balance: 900}).want)
}

func (w *world) find(name string) *object {
	return &w.after[slices.IndexFunc(w.after, func(o object) bool { return o.name == name })]
}

func (w *world) set(name string, want []byte) { w.find(name).want = want }

// honest reports an error that says that something is wrong with the pool.
func honest(err error) bool {
	return errors.Is(err, ErrDamage) || errors.Is(err, medium.ErrFault)
}

// look reads an object: what is there, or an error that says that it is damaged.
func look(p *Pool, o *object) (got []byte, damaged bool, err error) {
	err = p.View(ctx, func(tx *Tx) (err error) { got, err = o.read(tx); return err })
	if honest(err) {
		return nil, true, nil
	}
	return got, false, err
}

// seen is what was found of a world.
type seen struct {
	all     []object // that read right
	damaged []object
}

// check reads everything: each object is right, or damaged and says so. The last transaction may
// be absent as a whole, where the pool says that its log is torn.
func (w *world) check(p *Pool) (s seen, err error) {
	last := w.after
	if p.Info().Recovery.Torn {
		if got, bad, err := look(p, w.find("again 1")); err == nil && !bad && !bytes.Equal(got, w.find("again 1").want) {
			last = w.before
		}
	}
	for i := range last {
		o := &last[i]
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
	for i := range w.freed {
		if _, bad, err := look(p, &w.freed[i]); !bad && !errors.Is(err, ErrStale) {
			return s, fmt.Errorf("%s: %v", w.freed[i].name, err)
		}
	}
	return s, nil
}

func checkRoot(p *Pool, o *object) error {
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
	var made []object
	for i, n := range []int{20, 20, 60, 100, 100, 300, 1000, 1500, 1500, 5000, 9000, 70, 20} {
		err := p.Update(ctx, func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i+50, n))
			if err == nil {
				made = append(made, bytesObject(fmt.Sprintf("new, %d bytes", n), r, pattern(i+50, n)))
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
	for _, o := range append(made, s.all...) {
		if got, bad, err := look(p, &o); err != nil || bad || !bytes.Equal(got, o.want) {
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
		err := p.Update(ctx, func(tx *Tx) error { return tx.free(o.ref, func(header) error { return nil }) })
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
		o := bytesObject("new after frees", r, want)
		if got, bad, e := look(p, &o); err != nil || e != nil || bad || !bytes.Equal(got, want) {
			return fmt.Errorf("an object made after frees: damaged %v, %w", bad, errors.Join(err, e))
		}
	}
	for i, o := range s.all {
		if got, bad, err := look(p, &o); i%2 == 1 && (err != nil || bad || !bytes.Equal(got, o.want)) {
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

// try opens a damaged image, and reads and uses it.
func (w *world) try(image []byte, c *tally, use bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			buf := make([]byte, 4096)
			err = fmt.Errorf("panic: %v\n%s", r, buf[:runtime.Stack(buf, false)])
		}
	}()
	c.images.Add(1)
	p, err := openImage(image, medium.DAX, new(injector))
	if err != nil {
		c.refused.Add(1)
		if honest(err) || errors.Is(err, ErrNoPool) {
			return nil
		}
		return fmt.Errorf("open: %w", err)
	}
	s, err := w.check(p)
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
	if !use {
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

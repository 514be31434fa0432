package pmem

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// cost is what an operation does to persistent memory, or to an ordinary file.
type cost struct{ fences, lines, stored, syncs int }

// meter counts.
type meter struct{ cost }

func (m *meter) Event(e medium.Event) error {
	lines := int((e.Off+e.Len+line-1)/line - e.Off/line)
	switch e.Action {
	case medium.Fence:
		m.fences++
	case medium.Stream:
		m.lines += int((e.Off+int64(len(e.Data))+line-1)/line - e.Off/line)
		m.stored += len(e.Data)
	case medium.Store:
		m.stored += len(e.Data)
	case medium.Flush:
		m.lines += lines
	case medium.SyncEnd:
		m.syncs++
	}
	return nil
}

func (m *meter) Read(int64, int64) error { return nil }

// meteredPool is a pool with two objects that are there, in spans that have their class.
func meteredPool(t *testing.T, kind medium.Kind) (*Pool, *meter, []Ref[cacheLine]) {
	t.Helper()
	m := &meter{}
	recorded, err := medium.Record(make([]byte, 1<<20), medium.Emulation{Kind: kind}, m)
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(recorded, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var refs []Ref[cacheLine]
	update(t, p, func(tx *Tx) error {
		for range 20 {
			r, err := Alloc(tx, cacheLine{})
			if err != nil {
				return err
			}
			refs = append(refs, r)
		}
		big, err := AllocBytes(tx, make([]byte, 2000))
		if err != nil {
			return err
		}
		return Free(tx, big)
	})
	return p, m, refs
}

// cacheLine is an object of 64 bytes.
type cacheLine [8]uint64

var costs = []struct {
	name string
	fn   func(p *Pool, refs []Ref[cacheLine]) error
}{
	{"a View of an object", func(p *Pool, refs []Ref[cacheLine]) error {
		return p.View(ctx, func(tx *Tx) error { _, err := Get(tx, refs[0]); return err })
	}},
	{"an Update that returns an error", func(p *Pool, refs []Ref[cacheLine]) error {
		_ = p.Update(ctx, func(tx *Tx) error { _ = Set(tx, refs[0], cacheLine{1}); return ErrFull })
		return nil
	}},
	{"Set of 64 bytes", setting(1)},
	{"4 × Set of 64 bytes", setting(4)},
	{"16 × Set of 64 bytes", setting(16)},
	{"Alloc of 64 bytes", func(p *Pool, _ []Ref[cacheLine]) error {
		return p.Update(ctx, func(tx *Tx) error { _, err := Alloc(tx, cacheLine{1}); return err })
	}},
	{"Free of 64 bytes", func(p *Pool, refs []Ref[cacheLine]) error {
		return p.Update(ctx, func(tx *Tx) error { return Free(tx, refs[0]) })
	}},
	{"Alloc, Free and Set of 64 bytes", func(p *Pool, refs []Ref[cacheLine]) error {
		return p.Update(ctx, func(tx *Tx) error {
			if _, err := Alloc(tx, cacheLine{1}); err != nil {
				return err
			}
			if err := Free(tx, refs[0]); err != nil {
				return err
			}
			return Set(tx, refs[1], cacheLine{1})
		})
	}},
	{"Alloc of 1,000 bytes", allocating(1000)},
	{"Alloc of 2,000 bytes, written before its record", allocating(2000)},
	{"Checkpoint", func(p *Pool, _ []Ref[cacheLine]) error { return p.Checkpoint(ctx) }},
}

func setting(n int) func(*Pool, []Ref[cacheLine]) error {
	return func(p *Pool, refs []Ref[cacheLine]) error {
		return p.Update(ctx, func(tx *Tx) error {
			for i := range n {
				if err := Set(tx, refs[i], cacheLine{1, 2, 3}); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func allocating(n int) func(*Pool, []Ref[cacheLine]) error {
	return func(p *Pool, _ []Ref[cacheLine]) error {
		return p.Update(ctx, func(tx *Tx) error { _, err := AllocBytes(tx, make([]byte, n)); return err })
	}
}

func measure(t *testing.T, kind medium.Kind, fn func(*Pool, []Ref[cacheLine]) error) cost {
	t.Helper()
	p, m, refs := meteredPool(t, kind)
	if err := allocating(1000)(p, refs); err != nil { // so that the span has its class
		t.Fatal(err)
	}
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if err := setting(1)(p, refs[1:]); err != nil { // so that there is something to checkpoint
		t.Fatal(err)
	}
	m.cost = cost{}
	if err := fn(p, refs); err != nil {
		t.Fatal(err)
	}
	return m.cost
}

// The table of costs says what the code does: one fence, or one sync, for a small transaction with
// its allocations and frees; none for a reader, and none for what is not committed.
func TestCosts(t *testing.T) {
	const path = "../docs/pmem/costs.md"
	var b strings.Builder
	b.WriteString(costsHead)
	for _, c := range costs {
		dax, file := measure(t, medium.DAX, c.fn), measure(t, medium.PageCache, c.fn)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", c.name, dax.fences, dax.lines, dax.stored, file.syncs)
	}
	if os.Getenv("SAFEVMA_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != b.String() {
		t.Errorf("%s is not current (%v): SAFEVMA_UPDATE=1 go test ./pmem -run TestCosts\n%s", path, err, b.String())
	}
}

const costsHead = `# What a transaction costs

Counted on a recorded medium by a test (` + "`go test ./pmem -run TestCosts`" + `), which fails where this table does not say what
the code does. Fences are on persistent memory; lines are those that are flushed or streamed; bytes are
all that are stored, in the log and in place; syncs are those of an ordinary file. Changes in place are
flushed by the next checkpoint, once for many transactions. The first object of its size in a span, and the
first of a type in a pool, cost one more record each.

| operation | fences | lines | bytes stored | syncs |
|---|---|---|---|---|
`

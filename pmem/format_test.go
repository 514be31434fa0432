package pmem

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

var rewrite = flag.Bool("update", false, "write the golden files anew; an image of a pool only where there is none")

// The format is what it is in docs/formats/pool.md. A number that changes does not compile: pools
// that exist have the old one.
var locked [1]struct{}

var _ = []struct{}{
	locked[FormatVersion-1], locked[superA], locked[superB-4096], locked[superSize-256],
	locked[tailOffset-512], locked[tailSize-32],
	locked[rootsOffset-8192], locked[rootSize-64], locked[roots-64], locked[mostRootName-40],
	locked[typesOffset-12288], locked[typeEntrySize-64], locked[types-256], locked[mostName-1024],
	locked[logOffset-28672], locked[leastLog-1024], locked[mostLog-1<<32], locked[line-64], locked[word-8],
	locked[headerSize-40], locked[partMore-1], locked[runPut-1], locked[runSet-2], locked[runClear-3],
	locked[runOffsets-(1<<40-1)], locked[runKinds-7], locked[runKindBit-40], locked[runWordsBit-43], locked[mostRun-16777208],
	locked[spanEntrySize-256], locked[spanBitmap-128], locked[descriptorSize-16], locked[leastSpan-4096], locked[mostSpan-65536],
	locked[classNone], locked[classHead-254], locked[classRest-255], locked[len(classes)-32],
	locked[objectHeader-16], locked[blockSize-256], locked[freeHeader-24], locked[leastSlot-64], locked[leastStep-32],
	locked[stateFree], locked[stateLive-1], locked[flagImmutable-1],
	locked[typeBytes-1], locked[typeDescriptor-2], locked[firstType-16],
	locked[offsetBits-48], locked[lastIncarnation-65535], locked[mostSize-1<<43], locked[mostZones-1<<20],
}

func TestFormatClasses(t *testing.T) {
	want := []int64{0, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048,
		2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384}
	if !slices.Equal(classes[:], want) {
		t.Errorf("the sizes of slots are %d", classes)
	}
}

func TestFormatChecksum(t *testing.T) {
	for of, want := range map[string]uint32{"": 0xa282ead8, "123456789": 0xc78ab0e5} {
		if got := checksum([]byte(of)); got != want {
			t.Errorf("the checksum of %q is %#x, want %#x", of, got, want)
		}
	}
	if got := updateCRC(0, []byte("123456789")); got != 0xe3069283 {
		t.Errorf("the CRC32C of a record is %#x", got)
	}
}

// formatNode has a reference, and padding behind Tag.
type formatNode struct {
	Next    Ref[formatNode]
	Tag     [5]byte
	Balance int64
}

// formatWorld is a pool with one of each thing that the format has.
type formatWorld struct {
	image               []byte
	node, gone          Ref[formatNode]
	lasting, chain, big Ref[Bytes]
}

func newFormatWorld(t *testing.T) *formatWorld {
	t.Helper()
	next := uint64(0)
	p := newTestPool(t, 1<<16, Options{LogSize: 4096, LogExtent: 512, SpanSize: 4096,
		Rand: func() uint64 { next += 0x0123456789abcdef; return next }})
	w := new(formatWorld)
	update(t, p, func(tx *Tx) (err error) {
		if w.node, err = Alloc(tx, formatNode{Tag: [5]byte{'a', 'b', 'c', 'd', 'e'}, Balance: 1}); err != nil {
			return err
		}
		w.lasting, err = AllocImmutableBytes(tx, thin(1, 300))
		return errors.Join(err, SetRoot(tx, "node", w.node), SetRoot(tx, "lasting", w.lasting))
	})
	update(t, p, func(tx *Tx) (err error) { w.gone, err = Alloc(tx, formatNode{Balance: -1}); return err })
	update(t, p, func(tx *Tx) error { return Free(tx, w.gone) })
	update(t, p, func(tx *Tx) (err error) {
		w.big, err = AllocBytes(tx, thin(3, 5000))
		return errors.Join(err, SetRoot(tx, "big", w.big))
	})
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	before := w.read(t, p)
	update(t, p, func(tx *Tx) error {
		return Set(tx, w.node, formatNode{w.node, [5]byte{'f', 'g'}, 1000})
	})
	update(t, p, func(tx *Tx) (err error) {
		w.chain, err = AllocBytes(tx, thin(2, 600))
		return errors.Join(err, SetRoot(tx, "chain", w.chain))
	})
	w.image = w.read(t, p)
	// As a failure may leave it: that change of the node is in the log alone.
	at := w.node.Offset()
	copy(w.image[at:at+leastSlot], before[at:])
	return w
}

// thin is bytes of which few are not 0.
func thin(seed, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 97 {
		b[i] = byte(seed<<6 | i/97 + 1)
	}
	return b
}

func (w *formatWorld) read(t *testing.T, p *Pool) []byte {
	t.Helper()
	image := make([]byte, p.m.Size())
	if err := p.m.Read(0, image); err != nil {
		t.Fatal(err)
	}
	return image
}

// TestFormat compares a pool with the golden one, byte for byte.
func TestFormat(t *testing.T) {
	got := newFormatWorld(t).dump()
	name := filepath.Join("testdata", "format.txt")
	if *rewrite {
		if err := os.WriteFile(name, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	section := "the begin"
	wants, gots := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range min(len(wants), len(gots)) {
		if bytes.HasPrefix(gots[i], []byte("# ")) {
			section = string(gots[i][2:])
		}
		if !bytes.Equal(gots[i], wants[i]) {
			t.Fatalf("the format changed, line %d of %s, %s:\ngot  %s\nwant %s", i+1, name, section, gots[i], wants[i])
		}
	}
	if len(wants) != len(gots) {
		t.Fatalf("%s has %d lines, and the pool %d", name, len(wants), len(gots))
	}
}

// TestFormatDocument sees to it that the rows of the document are of the golden pool.
func TestFormatDocument(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "docs", "formats", "pool.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden, rows := newFormatWorld(t).dump(), 0
	for row := range bytes.Lines(document) {
		if !bytes.HasPrefix(row, []byte("0000")) {
			continue
		}
		if rows++; !bytes.Contains(golden, row) {
			t.Errorf("docs/formats/pool.md has %s, and the pool not", row)
		}
	}
	if rows == 0 {
		t.Error("docs/formats/pool.md has no rows of a pool")
	}
}

// dump is the rows of the pool in which anything is, and what they are.
func (w *formatWorld) dump() []byte {
	g := newGeometry(1<<16, 4096, 512, 4096)
	sections := map[int64]string{
		superA: "superblock A", superB: "superblock B", tailPlace(0): "tail slot A", tailPlace(1): "tail slot B",
		rootsOffset: "roots, and the end of their table", typesOffset: "types, and the end of their table", logOffset: "log",
		g.heap: "table of the spans: each with its descriptor and its bitmap", w.node.Offset(): "an object of a type",
		w.gone.Offset(): "a free slot", w.lasting.Offset(): "an immutable object of two blocks",
		w.chain.Offset(): "an object that travelled in three parts of a record", w.big.Offset(): "an object in a run of spans",
	}
	var b bytes.Buffer
	for off := int64(0); off < int64(len(w.image)); off += 16 {
		if name, ok := sections[off]; ok {
			fmt.Fprintf(&b, "# %s\n", name)
		}
		if row := w.image[off : off+16]; !isZero(row) {
			fmt.Fprintf(&b, "%08x  % x  % x  |%s|\n", off, row[:8], row[8:], printable(row))
		}
	}
	return b.Bytes()
}

func printable(row []byte) []byte {
	p := bytes.Clone(row)
	for i, c := range p {
		if c < ' ' || c > '~' {
			p[i] = '.'
		}
	}
	return p
}

// TestOldPools opens a pool of each version of the format that this package opens.
func TestOldPools(t *testing.T) {
	w := newFormatWorld(t)
	name := filepath.Join("testdata", fmt.Sprintf("pool-v%d.gz", FormatVersion))
	if _, err := os.Stat(name); *rewrite && err != nil {
		if err := os.WriteFile(name, compressed(t, w.image), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := medium.Record(uncompressed(t, name), medium.Emulation{Kind: medium.DAX}, new(injector))
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenOn(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if r := p.Info().Recovery; r.Records != 3 || r.Torn {
		t.Errorf("opening it replayed %d records, torn: %v", r.Records, r.Torn)
	}
	view(t, p, func(tx *Tx) error {
		r, err := Root[formatNode](tx, "node")
		if err != nil {
			return err
		}
		n, err := Get(tx, r)
		if want := (formatNode{r, [5]byte{'f', 'g'}, 1000}); n != want {
			t.Errorf("the node is %v, want %v", n, want)
		}
		if _, err := Get(tx, w.gone); !errors.Is(err, ErrStale) {
			t.Errorf("what was freed: %v", err)
		}
		return err
	})
	for i, root := range []string{"lasting", "chain", "big"} {
		view(t, p, func(tx *Tx) error {
			r, err := Root[Bytes](tx, root)
			if err != nil {
				return err
			}
			b, err := AppendBytes(tx, r, nil)
			if !bytes.Equal(b, thin(i+1, []int{300, 600, 5000}[i])) {
				t.Errorf("root %q is not what was written", root)
			}
			return err
		})
	}
	update(t, p, func(tx *Tx) error { _, err := Alloc(tx, formatNode{}); return err })
}

func compressed(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func uncompressed(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	b, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

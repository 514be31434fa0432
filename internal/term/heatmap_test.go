package term

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/heatmap"
	"github.com/safevma/safevma/watch/recording"
)

// heated is a picture with cells that are hot, cold and not known.
func heated(t *testing.T) *heatmap.Map { return heatedAt(t, 0) }

// heatedAt is the same, at other addresses.
func heatedAt(t *testing.T, at uint64) *heatmap.Map {
	t.Helper()
	shot := func(start, end int64, regions ...damon.Region) *recording.Snapshot {
		return &recording.Snapshot{Snapshot: damon.Snapshot{Thread: 7, Start: start, End: end, Expected: uint64(len(regions)), Regions: regions}}
	}
	at += 0x1000
	entries := []recording.Entry{
		shot(1e9, 2e9, damon.Region{Start: at, End: at + 0x1000, Accesses: 9}, damon.Region{Start: at + 0x1000, End: at + 0x2000}),
		shot(4e9, 5e9, damon.Region{Start: at, End: at + 0x1000, Accesses: 5}, damon.Region{Start: at + 0x1000, End: at + 0x2000, Accesses: 1}),
	}
	m, err := heatmap.Draw(func(fn func(recording.Entry) error) error {
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}, heatmap.Options{Times: 8, Addresses: 2})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Without colours nothing is lost: digits say how hot, blanks that nothing is known, and
// addresses rise upwards.
func TestHeatmap(t *testing.T) {
	got := shown(func(w *Writer) { w.Heatmap(heated(t)) })
	lines := strings.Split(got, "\n")
	if lines[1] != "        0x2000 000   11" || lines[2] != "        0x1000 990   55" || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	for _, want := range []string{"0 s", "4 s", "9 8.1 samples", "500 ms a cell", "4 KiB a cell", "blank: not known"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Addresses of any length leave the cells below each other.
func TestHeatmapLabels(t *testing.T) {
	for _, at := range []uint64{0, 0x7fffffff0000, 0x7ffffffffffe0000} {
		lines := strings.Split(shown(func(w *Writer) { w.Heatmap(heatedAt(t, at)) }), "\n")
		if strings.Index(lines[1], " 000") != strings.Index(lines[2], " 990") || strings.Index(lines[2], " 990") != strings.Index(lines[3], " 0 s") {
			t.Errorf("%q", lines[1:4])
		}
	}
}

// With colours the digits are the same.
func TestHeatmapColours(t *testing.T) {
	var b bytes.Buffer
	w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: colorprofile.ANSI256}}
	w.Heatmap(heated(t))
	if !strings.Contains(b.String(), "48;5;229m") || !strings.Contains(b.String(), "m99\x1b") {
		t.Errorf("%q", b.String())
	}
}

// Where there is no terminal, the picture has the size of the usual one.
func TestHeatmapRoom(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if times, addresses := HeatmapRoom(null); times != 64 || addresses != 16 {
		t.Errorf("%d × %d", times, addresses)
	}
}

package measure

import (
	"strings"
	"testing"
	"time"
)

func TestWhatIsPrintedIsParsed(t *testing.T) {
	want := Measure{Name: "tx", Ops: 7, Wall: 3 * time.Microsecond, CPU: 2}
	var out strings.Builder
	if err := PrintNote(&out, "version %d", 3); err != nil {
		t.Fatal(err)
	}
	if err := want.Print(&out); err != nil {
		t.Fatal(err)
	}
	measures, notes, err := Parse(strings.NewReader(out.String()))
	if err != nil || len(measures) != 1 || measures[0] != want || len(notes) != 1 || notes[0] != "version 3" {
		t.Errorf("%v, %q, %v", measures, notes, err)
	}
}

// What is half understood is not reported.
func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"measure tx 1 2", "measure tx 1 2 3 4", "measure tx 0 2 3", "measure tx 1 -2 3", "measure tx 1 2 3x", "warning: slow", ""} {
		if m, _, err := Parse(strings.NewReader("measure a 1 1 1\n" + line + "\n")); err == nil {
			t.Errorf("%q is taken as %v", line, m)
		}
	}
}

// Time between the parts does not count, and time within them does.
func TestClockCountsItsParts(t *testing.T) {
	var parts, whole Clock
	whole.Start()
	for range 2 {
		parts.Start()
		time.Sleep(time.Millisecond)
		parts.Stop()
		time.Sleep(20 * time.Millisecond)
	}
	whole.Stop()
	p, w := parts.Measure("x", 1), whole.Measure("x", 1)
	if p.Wall < 2*time.Millisecond || w.Wall-p.Wall < 40*time.Millisecond {
		t.Errorf("parts %v, of %v", p.Wall, w.Wall)
	}
}

func TestClockCountsCPUTime(t *testing.T) {
	var c Clock
	var last uint64
	for end := time.Now().Add(10 * time.Second); c.cpu < 20*time.Millisecond && time.Now().Before(end); {
		c.Start()
		for i := range uint64(1 << 16) {
			last = Mix(last + i)
		}
		c.Stop()
	}
	if c.cpu < 20*time.Millisecond {
		t.Errorf("%v of CPU time in 10 s of work, up to %x", c.cpu, last)
	}
}

func TestMixIsOneToOne(t *testing.T) {
	seen := map[uint64]bool{}
	for i := range uint64(1 << 16) {
		seen[Mix(i)] = true
	}
	if len(seen) != 1<<16 {
		t.Errorf("%d values of %d", len(seen), 1<<16)
	}
}

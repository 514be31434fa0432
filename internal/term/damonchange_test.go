package term

import (
	"bytes"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"github.com/safevma/safevma/kernel/damon"
)

// What was written is told apart from what would be, and what there was from what is new.
func TestDAMONChange(t *testing.T) {
	c := &damon.Change{Writes: []damon.Write{{File: "nr_kdamonds", From: "0", To: "1"}, {File: "0/contexts/0/operations", To: "pa\nddr", New: true}},
		Kdamonds: []damon.Kdamond{{State: damon.On, PID: 7}, {State: damon.Off, PID: -1}}}
	show := func() string {
		var b bytes.Buffer
		w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: colorprofile.NoTTY}}
		w.DAMONChange(c)
		return b.String()
	}
	text := show()
	for _, want := range []string{"nr_kdamonds: 0 → 1\n", `0/contexts/0/operations = pa\x0addr` + "\n", "kdamond 0: on (pid 7)\n", "kdamond 1: off\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if c.DryRun = true; !strings.HasSuffix(show(), "1\n0/contexts/0/operations = pa\\x0addr\nnothing was written\n") {
		t.Error(show())
	}
	c.DryRun, c.Writes, c.Kdamonds = false, nil, nil
	if got := show(); got != "nothing to write: it is like that\nthere is no kdamond\n" {
		t.Errorf("%q", got)
	}
}

package term

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"

	"github.com/safevma/safevma/kernel/mglru"
)

// Groups without memory are left out, the youngest generation comes first, and the largest
// has the longest bar.
func TestMGLRU(t *testing.T) {
	list, err := mglru.Parse(strings.NewReader("memcg 1 /\n node 0\n 7 81300 0 3377\n 8 1000 10 20\nmemcg 2 /empty\n node 0\n 0 5 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := &mglru.Report{Settings: mglru.Settings{Enabled: mglru.Main}, PageSize: 4096, Memcgs: list}
	var b bytes.Buffer
	w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: colorprofile.NoTTY}}
	w.MGLRU(r, false)
	text := b.String()
	young, old := strings.Index(text, "8  idle        0s to        1s"), strings.Index(text, "7  idle        1s to     1m21s")
	if young < 0 || old < young || strings.Contains(text, "/empty") {
		t.Errorf("%s", text)
	}
	if n := strings.Count(text[old:], "▮"); n != 20 {
		t.Errorf("the largest generation has a bar of %d", n)
	}
	b.Reset()
	w.MGLRU(r, true)
	if !strings.Contains(b.String(), "/empty") {
		t.Errorf("%s", b.String())
	}
}

// What was done, what was not, and how it is then.
func TestMGLRUChange(t *testing.T) {
	list, err := mglru.Parse(strings.NewReader("memcg 7 /a\n node 0\n 5 9000 100 100\n 6 8000 0 50\n 7 10 0 10\nmemcg 8 /b\n node 0\n 0 10 1 1\n 1 0 1 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := mglru.PlanEvict(list, mglru.EvictOptions{Idle: time.Second, Swappiness: 0})
	if err != nil {
		t.Fatal(err)
	}
	show := func(c *mglru.Change) string {
		var b bytes.Buffer
		c.PageSize = 4096
		w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: colorprofile.NoTTY}}
		w.MGLRUChange(c)
		return b.String()
	}
	if text := show(mglru.Planned(steps)); !strings.Contains(text, "would write - 7 0 5 0\n") || !strings.Contains(text, "nothing to do: it has 2 generations") {
		t.Error(text)
	}
	after := list[0].Nodes[0]
	after.Generations = after.Generations[1:]
	done := &mglru.Change{Outcomes: []mglru.Outcome{{Step: steps[0], After: &after}, {Step: steps[0], Err: mglru.ErrGone}}}
	if text := show(done); !strings.Contains(text, "- 7 0 5 0  800 KiB less than before") || !strings.Contains(text, "- 7 0 5 0: "+mglru.ErrGone.Error()) {
		t.Error(text)
	}
}

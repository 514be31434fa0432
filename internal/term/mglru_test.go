package term

import (
	"bytes"
	"strings"
	"testing"

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

package term

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/colorprofile"

	"github.com/safevma/safevma/exposure"
	"github.com/safevma/safevma/kernel/vma"
)

// The picture of memory is as wide as the terminal and no wider, shows pages of the
// process wherever there are any, and has colours only where they are wanted.
func TestMemoryPicture(t *testing.T) {
	m := &exposure.Memory{Frames: 8192, PerCell: 1, Cells: make([]exposure.Cell, 8192)}
	for i := range m.Cells {
		m.Cells[i].Counts[vma.FrameIsFree] = 1
	}
	m.Cells[4000].Own, m.Cells[8191].Own, m.Cells[8191].Exposed = 1, 1, 1
	draw := func(profile colorprofile.Profile) string {
		var b bytes.Buffer
		w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: profile}, columns: 30}
		w.memory(m)
		return b.String()
	}
	plain := draw(colorprofile.NoTTY)
	lines := strings.Split(plain, "\n")
	for _, line := range lines[:memoryRows-1] {
		if n := utf8.RuneCountInString(line); n != 30 {
			t.Errorf("a line of %d signs: %q", n, line)
		}
	}
	picture := strings.Join(lines[:memoryRows], "")
	if strings.Count(picture, "o") != 1 || strings.Count(picture, "!") != 1 || strings.Contains(plain, "\x1b[") {
		t.Errorf("the picture:\n%s", plain)
	}
	if !strings.Contains(draw(colorprofile.ANSI256), "\x1b[") {
		t.Error("no colours where there could be some")
	}
	if got := draw(colorprofile.ASCII); strings.Contains(got, "\x1b[3") { // NO_COLOR keeps bold and faint
		t.Errorf("colours in spite of NO_COLOR:\n%q", got)
	}
}

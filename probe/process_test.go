package probe

import (
	"io"
	"strings"
	"testing"
)

// However much a probe says, and by whatever way it is copied, no more than the limit is kept.
func TestLimited(t *testing.T) {
	var l limited
	text := strings.Repeat("x", 3*most/2)
	for _, from := range []io.Reader{strings.NewReader(text), struct{ io.Reader }{strings.NewReader(text)}} {
		if n, err := io.Copy(&l, from); n != int64(len(text)) || err != nil {
			t.Errorf("%d bytes were taken, %v", n, err)
		}
	}
	if n := l.buffer.Len(); n != most {
		t.Errorf("%d bytes are kept, want %d", n, most)
	}
}

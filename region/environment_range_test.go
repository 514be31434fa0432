package region

import (
	"bytes"
	"os"
	"testing"
)

func FuzzEnvironmentRange(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Skip(err)
	}
	if begin, end, err := environmentRange(own); err != nil || end <= begin {
		f.Errorf("of this process: %#x to %#x, %v", begin, end, err)
	}
	f.Add(own)
	f.Add([]byte("1 (a) b) S 1"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		if begin, end, err := environmentRange(text); err == nil && (end < begin || begin == 0 || end-begin > maxSize) {
			t.Errorf("from %#x to %#x", begin, end)
		}
	})
}

func FuzzClearVariable(f *testing.F) {
	f.Add([]byte("A=1\x00B=2\x00A=3"), "A")
	f.Add([]byte("AA=1\x00=2\x00A\x00\x00A="), "A")
	f.Fuzz(func(t *testing.T, block []byte, name string) {
		before := bytes.Split(bytes.Clone(block), []byte{0})
		clearVariable(block, name)
		at := 0
		for _, entry := range before {
			now := block[at : at+len(entry)]
			at += len(entry) + 1
			want := bytes.Clone(entry)
			if bytes.HasPrefix(entry, []byte(name+"=")) {
				clear(want[len(name)+1:])
			}
			if !bytes.Equal(now, want) {
				t.Fatalf("%q became %q", entry, now)
			}
		}
	})
}

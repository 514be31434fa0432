package layout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is written is read again, and nothing else is taken for a lock file.
func FuzzParse(f *testing.F) {
	f.Add("# comment\n\naccount\t.\tstruct\t0\t8\naccount\tBalance\tint64\t0\t8\n")
	f.Add("account\t.\tstruct\r\n")
	f.Add("a\t.\tstruct\t-1\t9223372036854775808\n")
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := parse(strings.NewReader(text))
		if err != nil || len(fields) == 0 {
			return
		}
		name := filepath.Join(t.TempDir(), File)
		if err := write(name, fields); err != nil {
			t.Fatal(err)
		}
		again, exists, err := read(name)
		if err != nil || !exists || !slices.Equal(again, fields) {
			t.Errorf("%q: %v, read again: %v, %v, %v", text, fields, again, exists, err)
		}
	})
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a\t.\tstruct\t0\n":             "line 1: 4 columns",
		"a\t.\tstruct\t0\t8\t9\n":       "line 1: 6 columns",
		"\n# x\na\t.\tstruct\tx\t8\n":   "line 3: offset",
		"a\t.\tstruct\t0\t\n":           "line 1: size",
		strings.Repeat("a", 1<<17):      "token too long",
		"<<<<<<< HEAD\na\t.\tb\t0\t1\n": "line 1: 1 columns",
	} {
		if _, err := parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// A file that can't be read is an error, not the same as none.
func TestUnreadable(t *testing.T) {
	name := filepath.Join(t.TempDir(), File)
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(name); err == nil {
		t.Error("a directory was read")
	}
}

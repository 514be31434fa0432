package corpus

import (
	"context"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/crash-corpus.md anew")

// The document says what this code does.
func TestDocument(t *testing.T) {
	const path = "../../../docs/crash-corpus.md"
	var all []*Verdict
	for _, c := range Cases() {
		v, err := c.Try(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	text := Document(all)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != text {
		t.Errorf("%s is not current (%v): go test ./pmem/crash/corpus -run TestDocument -update", path, err)
	}
}

package pmem_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocument sees to it that the code of docs/pmem/pools.md is code of example_test.go, but for how
// far it is indented.
func TestDocument(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i])
		}
		return strings.Join(lines, "\n")
	}
	examples := read("example_test.go")
	blocks := strings.Split(read(filepath.Join("..", "docs", "pmem", "pools.md")), "\n```go\n")
	if len(blocks) == 1 {
		t.Error("docs/pmem/pools.md has no code")
	}
	for _, b := range blocks[1:] {
		code, _, ended := strings.Cut(b, "\n```\n")
		if !ended || !strings.Contains(examples, "\n"+code+"\n") {
			t.Errorf("docs/pmem/pools.md has code that is not in example_test.go:\n%s", code)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/mglru"
)

// What is written of a kernel with generations keeps the schema: the scripts see one only
// where the kernel has it.
func TestMGLRUSchema(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"kernel/mm/lru_gen/enabled": "0x0007\n", "kernel/mm/lru_gen/min_ttl_ms": "1000\n",
		"kernel/debug/lru_gen_full": "memcg     0 \n node     0\n  4  81300  0x  3377 \n    0  0x  0x  0x  11r  12e  13p\n  0x  0x  0x  0x\n  5  1000  20  30 \n   100T  50Y  20F  10A\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := mglru.At(root).Read(true)
	if err != nil || r.Unseen != nil {
		t.Fatal(err, r)
	}
	r.PageSize, r.Window = 4096, guarantee.Since(time.Now())
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := validate("mglru-v1", b.String()); err != nil {
		t.Error(err)
	}
	if hidden, err := mglru.At(root).Read(false); err != nil || hidden.Unseen == nil {
		t.Errorf("%+v, %v", hidden, err)
	}
}

// What a change is written as keeps its schema: planned, done, with nothing to do, and failed.
func TestMGLRUChangeSchema(t *testing.T) {
	list, err := mglru.Parse(strings.NewReader("memcg 7 /a\n node 0\n 5 9000 100 100\n 6 8000 0 50\n 7 10 0 10\n node 1\n 0 0 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := mglru.PlanEvict(list, mglru.EvictOptions{Swappiness: 0})
	if err != nil || len(steps) != 2 || steps[0].Command == nil || steps[1].Command != nil {
		t.Fatalf("%+v, %v", steps, err)
	}
	done := &mglru.Change{Outcomes: []mglru.Outcome{{Step: steps[0], After: &list[0].Nodes[0]}, {Step: steps[0], Err: mglru.ErrGone}, {Step: steps[1]}}}
	for _, c := range []*mglru.Change{mglru.Planned(steps), done} {
		c.PageSize, c.Window = 4096, guarantee.Since(time.Now())
		var b bytes.Buffer
		if err := c.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if err := validate("mglru-change-v1", b.String()); err != nil {
			t.Error(err)
		}
	}
}

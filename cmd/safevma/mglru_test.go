package main

import (
	"bytes"
	"os"
	"path/filepath"
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

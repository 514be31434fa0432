package vm

import (
	"testing"

	"github.com/safevma/safevma/lab/wire"
)

func TestAsked(t *testing.T) {
	in := &incoming{job: Job{Job: wire.Job{Bring: []string{"/out/file", "/folder/"}}}}
	for path, want := range map[string]bool{
		"/out/file": true, "/folder": true, "/folder/deep/file": true,
		"/out": false, "/out/file2": false, "/folder2/file": false, "/etc/passwd": false,
	} {
		if in.asked(path) != want {
			t.Errorf("%s: asked for %t", path, !want)
		}
	}
}

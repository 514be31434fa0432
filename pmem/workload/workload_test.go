package workload

import (
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

func TestAll(t *testing.T) {
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			w.Config.Shallow = true
			r := crash.Run(t, w.Config, w.Crash)
			t.Log(r)
		})
	}
}

package workload

import (
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

func TestRestarted(t *testing.T) {
	w := Restarted()
	t.Log(crash.Run(t, w.Config, w.Crash))
}

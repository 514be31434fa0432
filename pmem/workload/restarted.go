package workload

import (
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// Restarted is of processes that are killed and restarted: recovery reads what the caches hold, and
// a power failure takes from them what it has not made durable. What recovery showed must stay.
func Restarted() Workload {
	return Workload{
		Name: "restart", About: "a word changed twice; killed at each moment, restarted, and then the power fails",
		Crash: pools(small, put(0, word(1)), func(o *ops) error {
			return do(o, step{"set", change(0, 0, word(2))}, step{"set", change(0, 0, word(3))})
		}),
		Config: crash.Config{Models: []state.Model{crash.ADR, crash.PageCache}, Restart: true, Shallow: true},
	}
}

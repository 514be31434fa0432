package host

import "math"

// OOM is what the host does when memory runs out
// (Documentation/admin-guide/sysctl/vm.rst).
type OOM struct {
	// Panic is 0 where the killer chooses, 1 where the host panics unless a policy or a
	// cgroup caused it, 2 where it always does.
	Panic Value[int64] `fact:"panic_on_oom"`
	// KillAllocating: not 0 kills who asked for memory, and not who has most.
	KillAllocating Value[int64] `fact:"oom_kill_allocating_task"`
	DumpTasks      Value[int64] `fact:"oom_dump_tasks"`
}

func (s *session) oom(f *Facts) {
	f.OOM = OOM{
		Panic:          s.sysctl("vm/panic_on_oom", 0, 2),
		KillAllocating: s.sysctl("vm/oom_kill_allocating_task", -math.MaxInt32, math.MaxInt32),
		DumpTasks:      s.sysctl("vm/oom_dump_tasks", -math.MaxInt32, math.MaxInt32),
	}
}

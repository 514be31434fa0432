package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// CPUs returns the numbers of the CPUs that the calling thread may run on, in ascending
// order (sched_getaffinity(2)).
func CPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// RunOn lets the calling thread run on the given CPUs alone. Lock the goroutine to its
// thread before, and set back what [CPUs] returned.
func RunOn(cpus ...int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return unix.SchedSetaffinity(0, &set)
}

// RaisePriority gives the calling thread a nice value, -20 for the first (setpriority(2)).
// EACCES says that it takes CAP_SYS_NICE or RLIMIT_NICE.
func RaisePriority(nice int) error {
	return os.NewSyscallError("setpriority", unix.Setpriority(unix.PRIO_PROCESS, 0, nice))
}

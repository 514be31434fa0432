package sys

import "golang.org/x/sys/unix"

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

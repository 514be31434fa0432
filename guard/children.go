package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// descendant finds the only child of the only child, and so on, of a process.
func descendant(pid, depth int) (int, error) {
	for range depth {
		all, err := children(pid)
		if err != nil {
			return 0, err
		}
		if len(all) != 1 {
			return 0, fmt.Errorf("process %d has %d children in /proc, not 1", pid, len(all))
		}
		pid = all[0]
	}
	return pid, nil
}

// children lists the children of a process, by the numbers of /proc.
func children(pid int) (all []int, err error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parent := fmt.Sprintf("\nPPid:\t%d\n", pid)
	for _, name := range names {
		child, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + name.Name() + "/status") // an error: it has ended
		if err == nil && strings.Contains(string(text), parent) {
			all = append(all, child)
		}
	}
	return all, nil
}

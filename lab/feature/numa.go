package feature

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/machine"
)

var numa = Feature{
	Name:   "numa",
	Title:  "there are several nodes of memory, and pages come from the one that is asked for",
	Source: "mbind(2), numa(7)",
	Since:  "6.1",
	needs: func(m machine.Machine) string {
		if m.NUMANodes < 2 {
			return fmt.Sprintf("the machine has %d NUMA nodes", m.NUMANodes)
		}
		return ""
	},
	probe: probeNUMA,
}

// probeNUMA binds an own page to each node that has memory, and reads where the kernel
// placed it. Each node is the control of the others.
func probeNUMA() Result {
	list, err := readLine("/sys/devices/system/node/has_memory")
	if err != nil { // built without NUMA
		return absentIf("/sys/devices/system/node/has_memory", err, "", syscall.ENOENT)
	}
	nodes, err := parseNodes(list)
	if err != nil {
		return unknown("nodes", err)
	}
	var placed []string
	for _, node := range nodes {
		line, err := placeOn(node)
		if err != nil {
			return unknown(fmt.Sprintf("a page bound to node %d", node), err)
		}
		placed = append(placed, fmt.Sprintf("bound to node %d: %s", node, line))
	}
	observed := strings.Join(placed, "; ")
	if len(nodes) < 2 {
		return absent("nodes with memory: "+list+"; "+observed, "a page is where it was bound")
	}
	return present(observed, "the same page on each other node")
}

// placeOn binds a page to a node, touches it, and returns what numa_maps says of it. It
// is an error if that is another node.
func placeOn(node int) (string, error) {
	page, err := ownPages(1)
	if err != nil {
		return "", err
	}
	defer sys.Munmap(page)
	if err := sys.BindNode(page, node); err != nil {
		return "", err
	}
	write(page, 1)
	text, err := os.ReadFile("/proc/self/numa_maps")
	if err != nil {
		return "", err
	}
	start := strconv.FormatUint(sys.Addr(page), 16)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.TrimLeft(fields[0], "0") != start {
			continue
		}
		for _, field := range fields {
			if field == fmt.Sprintf("N%d=1", node) {
				return field, nil
			}
		}
		return "", fmt.Errorf("numa_maps has %q", line)
	}
	return "", errors.New("numa_maps does not have the page")
}

// parseNodes parses a list such as "0-1,3".
func parseNodes(list string) (nodes []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%q is not a list of nodes: %w", list, err)
		}
		for node := first; node <= last && node < 64; node++ {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

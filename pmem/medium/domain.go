package medium

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

// domain is what the kernel says of the regions of persistent memory below a device.
type domain struct {
	regions []region
	node    int // of the first region that says it, or -1
}

type region struct{ name, persistence string }

// everywhere reports whether all regions, and at least one, are of a persistence domain.
func (d domain) everywhere(persistence string) bool {
	return len(d.regions) > 0 && !slices.ContainsFunc(d.regions, func(r region) bool { return r.persistence != persistence })
}

func (d domain) String() string {
	switch {
	case d.everywhere("cpu_cache"):
		return "cpu_cache (eADR)"
	case len(d.regions) == 0:
		return "unknown: no region of persistent memory was found below the device"
	}
	weakest := "memory_controller (ADR)"
	for _, r := range d.regions {
		switch r.persistence {
		case "cpu_cache", "memory_controller":
		case "":
			return fmt.Sprintf("unknown: the kernel names none for %s", r.name)
		default:
			return fmt.Sprintf("unknown: %q for %s", r.persistence, r.name)
		}
	}
	return weakest
}

// domainOf finds the regions below a block device, through device mappers
// (Documentation/ABI/stable/sysfs-bus-nvdimm, persistence_domain).
func domainOf(sysfs string, device uint64) domain {
	d := domain{node: -1}
	number := fmt.Sprintf("%d:%d", sys.Major(device), sys.Minor(device))
	d.below(sysfs, filepath.Join(sysfs, "dev/block", number), 8)
	return d
}

func (d *domain) below(sysfs, device string, depth int) {
	real, err := filepath.EvalSymlinks(device)
	if err != nil || depth == 0 {
		return
	}
	for _, part := range strings.Split(real, "/") {
		if number, ok := strings.CutPrefix(part, "region"); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			d.add(filepath.Join(sysfs, "bus/nd/devices", part), part)
			return
		}
	}
	for _, folder := range []string{real, filepath.Dir(real)} { // a partition has its disk above it
		slaves, err := os.ReadDir(filepath.Join(folder, "slaves"))
		for _, s := range slaves {
			d.below(sysfs, filepath.Join(folder, "slaves", s.Name()), depth-1)
		}
		if err == nil {
			return
		}
	}
}

func (d *domain) add(folder, name string) {
	text, _ := os.ReadFile(filepath.Join(folder, "persistence_domain")) // absent where the platform promises nothing
	d.regions = append(d.regions, region{name, strings.TrimSpace(string(text))})
	if node, err := os.ReadFile(filepath.Join(folder, "numa_node")); err == nil && d.node < 0 {
		if n, err := strconv.Atoi(strings.TrimSpace(string(node))); err == nil {
			d.node = n
		}
	}
}

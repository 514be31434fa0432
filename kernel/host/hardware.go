package host

import (
	"fmt"
	"slices"
	"strings"

	"path/filepath"

	"github.com/safevma/safevma/guarantee"
)

// Hardware is what stands between devices, faults and memory.
type Hardware struct {
	// Controllers are the memory controllers whose errors a driver reports (EDAC).
	// Empty says that no driver reports: not that there is no error correction.
	Controllers Value[[]MemoryController] `fact:"memory_controllers"`
	// IOMMUGroups are how the DMA of devices is translated, by type: the number of
	// groups that are "DMA" (strict), "DMA-FQ" (unmapped late), "identity" (not
	// translated) or "blocked" (/sys/kernel/iommu_groups). Empty where no device is
	// behind an IOMMU.
	IOMMUGroups Value[map[string]int] `fact:"iommu_groups"`
	// PoisonedMemory is HardwareCorrupted of meminfo: bytes taken out of use. Absent
	// where the kernel cannot do that.
	PoisonedMemory Value[uint64] `fact:"poisoned_memory"`
}

// MemoryController is one directory of /sys/devices/system/edac/mc
// (Documentation/admin-guide/RAS).
type MemoryController struct {
	Name        string `json:"name"`
	Driver      string `json:"driver"`
	Corrected   uint64 `json:"corrected"`
	Uncorrected uint64 `json:"uncorrected"`
	// Modes are the codes that its modules use, such as "SECDED".
	Modes []string `json:"modes"`
}

func (s *session) hardware(f *Facts) {
	f.Hardware = Hardware{
		Controllers:    s.memoryControllers(),
		IOMMUGroups:    s.iommuGroups(),
		PoisonedMemory: pick(f.Memory.Info, "HardwareCorrupted"),
	}
}

func (s *session) memoryControllers() Value[[]MemoryController] {
	source := s.sysfs("devices", "system", "edac", "mc")
	names, err := list(source)
	if err != nil {
		return unknown[[]MemoryController](guarantee.Read, source, "", err)
	}
	slices.Sort(names)
	found := []MemoryController{}
	var raw []string
	for _, name := range names {
		if number, ok := strings.CutPrefix(name, "mc"); !ok || !isNumber(number) {
			continue
		}
		c, err := memoryController(source, name)
		if err != nil {
			return unknown[[]MemoryController](guarantee.Read, source, name, err)
		}
		found = append(found, c)
		raw = append(raw, fmt.Sprintf("%s: %s, corrected %d, uncorrected %d", c.Name, c.Driver, c.Corrected, c.Uncorrected))
	}
	return known(found, guarantee.Read, source, strings.Join(raw, "\n"))
}

func isNumber(s string) bool {
	_, err := parseUint(s)
	return err == nil && strings.TrimSpace(s) == s
}

func memoryController(source, name string) (MemoryController, error) {
	c := MemoryController{Name: name}
	dir := filepath.Join(source, name)
	driver, err := readFile(filepath.Join(dir, "mc_name"))
	if err != nil {
		return c, err
	}
	c.Driver = strings.TrimSpace(string(driver))
	if c.Corrected, err = readUint(filepath.Join(dir, "ce_count")).Get(); err != nil {
		return c, err
	}
	if c.Uncorrected, err = readUint(filepath.Join(dir, "ue_count")).Get(); err != nil {
		return c, err
	}
	modules, err := list(dir)
	if err != nil {
		return c, err
	}
	for _, module := range modules {
		if !strings.HasPrefix(module, "dimm") && !strings.HasPrefix(module, "rank") {
			continue
		}
		mode, err := readFile(filepath.Join(dir, module, "dimm_edac_mode"))
		if err != nil {
			return c, err
		}
		c.Modes = append(c.Modes, strings.TrimSpace(string(mode)))
	}
	slices.Sort(c.Modes)
	c.Modes = slices.Compact(c.Modes)
	return c, nil
}

func (s *session) iommuGroups() Value[map[string]int] {
	source := s.sysfs("kernel", "iommu_groups")
	names, err := list(source)
	if err != nil {
		return unknown[map[string]int](guarantee.Read, source, "", err)
	}
	types := map[string]int{}
	for _, name := range names {
		b, err := readFile(filepath.Join(source, name, "type"))
		if err != nil {
			return unknown[map[string]int](guarantee.Read, source, name, err)
		}
		types[strings.TrimSpace(string(b))]++
	}
	return known(types, guarantee.Read, source, fmt.Sprintf("%d groups: %v", len(names), types))
}

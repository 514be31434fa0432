package vm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/lab/image"
	"github.com/safevma/safevma/lab/machine"
)

// Config says what a machine is. The zero value is a small amd64 machine without disks.
type Config struct {
	Kernel    string // a series such as 6.12, or newest (the default), or a release that is in the cache
	Arch      string // amd64 (the default) or arm64
	MemoryMiB int    // 1024 by default
	CPUs      int    // 2 by default
	NUMANodes int    // 1 by default
	// Persistence is what the platform tells of its NVDIMMs: mem-ctrl, cpu (eADR), or
	// empty.
	Persistence string
	NVDIMMs     []Storage
	Disks       []Storage
	Append      []string // more words for the kernel's command line
	Accel       Accel
	// Fresh boots the machine even where there is a saved state of it.
	Fresh bool
}

// Storage is one NVDIMM or disk.
type Storage struct {
	// Kind is ext4 or xfs; for NVDIMMs also devdax or raw.
	Kind string
	// Path is the file that the machine writes to, made where it is missing. Where Path is
	// empty, the machine gets a fresh file system, which is gone with it.
	Path string
}

func (c Config) withDefaults() Config {
	set := func(value *int, def int) {
		if *value == 0 {
			*value = def
		}
	}
	if c.Kernel == "" {
		c.Kernel = "newest"
	}
	if c.Arch == "" {
		c.Arch = "amd64"
	}
	set(&c.MemoryMiB, 1024)
	set(&c.CPUs, 2)
	set(&c.NUMANodes, 1)
	return c
}

func (c Config) validate() error {
	switch {
	case c.Arch != "amd64" && c.Arch != "arm64":
		return fmt.Errorf("architecture %s: want amd64 or arm64", c.Arch)
	case c.NUMANodes < 1 || c.CPUs < 1 || c.CPUs > 64:
		return fmt.Errorf("%d processors in %d NUMA nodes: want 1 to 64, and at least one node", c.CPUs, c.NUMANodes)
	case c.Arch == "arm64" && len(c.NVDIMMs) > 0:
		return fmt.Errorf("no NVDIMM on arm64: the emulated machine tells of them by ACPI, which needs firmware that a kernel started directly does not have")
	case c.Persistence != "" && c.Persistence != "mem-ctrl" && c.Persistence != "cpu":
		return fmt.Errorf("persistence domain %s: want mem-ctrl or cpu", c.Persistence)
	case c.NUMANodes > c.CPUs:
		return fmt.Errorf("%d NUMA nodes for %d processors: each node needs one", c.NUMANodes, c.CPUs)
	case c.MemoryMiB < 256 || c.MemoryMiB%(2*c.NUMANodes) != 0:
		return fmt.Errorf("%d MiB of memory for %d NUMA nodes: want at least 256, in whole parts", c.MemoryMiB, c.NUMANodes)
	}
	for _, n := range c.NVDIMMs {
		if !slices.Contains([]string{"ext4", "xfs", "devdax", "raw"}, n.Kind) {
			return fmt.Errorf("NVDIMM %s: want ext4, xfs, devdax or raw", n.Kind)
		}
	}
	for _, d := range c.Disks {
		if d.Kind != "ext4" && d.Kind != "xfs" {
			return fmt.Errorf("disk %s: want ext4 or xfs", d.Kind)
		}
	}
	return c.validateAccel()
}

// describe returns what tests inside are told of the machine.
func (c Config) describe(kernel string) machine.Machine {
	m := machine.Machine{Kernel: kernel, Arch: c.Arch, Accel: string(c.Accel), MemoryMiB: c.MemoryMiB, CPUs: c.CPUs, NUMANodes: c.NUMANodes}
	m.Persistence = map[string]string{"cpu": "cpu_cache", "mem-ctrl": "memory_controller"}[c.Persistence]
	for i, n := range c.NVDIMMs {
		path := "" // the guest knows how its kernel calls a device
		if n.Kind == "ext4" || n.Kind == "xfs" {
			path = fmt.Sprintf("/lab/nvdimm%d", i)
		}
		m.NVDIMMs = append(m.NVDIMMs, machine.NVDIMM{Kind: n.Kind, Path: path})
	}
	for i, d := range c.Disks {
		m.Disks = append(m.Disks, machine.Disk{FS: d.Kind, Path: fmt.Sprintf("/lab/disk%d", i)})
	}
	return m
}

// name is a short text for the kind of machine: states are kept by it.
func (c Config) name(release string) string {
	parts := []string{release, string(c.Accel), fmt.Sprintf("%dM", c.MemoryMiB), fmt.Sprintf("%dcpu", c.CPUs)}
	if c.NUMANodes > 1 {
		parts = append(parts, fmt.Sprintf("%dnodes", c.NUMANodes))
	}
	for _, n := range c.NVDIMMs {
		parts = append(parts, "nvdimm-"+n.Kind)
	}
	for _, d := range c.Disks {
		parts = append(parts, "disk-"+d.Kind)
	}
	if c.Persistence != "" {
		parts = append(parts, c.Persistence)
	}
	parts = append(parts, c.Append...)
	return strings.ReplaceAll(strings.Join(parts, ","), "/", "%")
}

// nvdimmSize and diskSize are sizes in bytes of what a machine gets. The kernel maps
// NVDIMMs in steps of 16 MiB; the file system begins 2 MiB behind the beginning.
func nvdimmSize(kind string) int64 {
	if kind == "ext4" || kind == "xfs" {
		return image.MinSize(kind) + 16<<20
	}
	return 128 << 20
}

func diskSize(kind string) int64 { return image.MinSize(kind) }

package main

import (
	"github.com/spf13/cobra"

	"github.com/safevma/safevma/lab/vm"
)

// machineFlags are the flags that say what a machine is.
type machineFlags struct {
	vm.Config
	accel          string
	nvdimms, disks []string
}

func (m *machineFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&m.Kernel, "kernel", "k", "newest", "a `series` such as 6.12, newest, or a release that was fetched")
	f.StringVar(&m.Arch, "arch", "amd64", "amd64 or arm64")
	f.IntVar(&m.MemoryMiB, "memory", 1024, "memory in `MiB`")
	f.IntVar(&m.CPUs, "cpus", 2, "processors")
	f.IntVar(&m.NUMANodes, "numa", 1, "NUMA nodes")
	f.StringArrayVar(&m.nvdimms, "nvdimm", nil, "an NVDIMM: ext4 or xfs (DAX), devdax, raw; `KIND` or KIND:FILE")
	f.StringVar(&m.Persistence, "persistence", "", "what the platform tells of its NVDIMMs: mem-ctrl, cpu (eADR), or nothing")
	f.StringArrayVar(&m.disks, "disk", nil, "a virtio-blk disk: ext4 or xfs; `KIND` or KIND:FILE")
	f.StringArrayVar(&m.Append, "append", nil, "a `word` for the kernel's command line")
	f.StringVar(&m.accel, "accel", string(vm.Auto), "auto (KVM where a machine has booted with it), tcg or kvm")
	f.BoolVar(&m.Fresh, "fresh", false, "boot, even where there is a saved state")
}

// config returns what the flags say.
func (m *machineFlags) config() vm.Config {
	c := m.Config
	c.Accel = vm.Accel(m.accel)
	for _, n := range m.nvdimms {
		c.NVDIMMs = append(c.NVDIMMs, storage(n))
	}
	for _, d := range m.disks {
		c.Disks = append(c.Disks, storage(d))
	}
	return c
}

package host

import (
	"fmt"
	"slices"

	"github.com/safevma/safevma/guarantee"
)

// What the entries of the hardening table read, beyond a symbol or a parameter.

func readKfence(_ *Facts, s *session) Value[bool] {
	interval := readUint(s.sysfs("module", "kfence", "parameters", "sample_interval"))
	return then(interval, func(ms uint64) (bool, string, error) { return ms > 0, "", nil })
}

// configuredKfence: with an interval of 0 it is built in and never looks.
func configuredKfence(f *Facts, _ *session) Value[bool] {
	return then(f.Kernel.Config, func(c Config) (bool, string, error) {
		if !c.On("KFENCE") {
			return false, c.Line("KFENCE"), nil
		}
		params, err := f.Kernel.Cmdline.Get()
		if err != nil {
			return false, "", err
		}
		interval, raw := c["KFENCE_SAMPLE_INTERVAL"], c.Line("KFENCE_SAMPLE_INTERVAL")
		if p, ok := params.Lookup("kfence.sample_interval"); ok {
			interval, raw = p.Value, p.String()
		}
		ms, err := parseUint(interval)
		return ms > 0, raw, err
	}).inferred()
}

// configuredUsercopy: since Linux 6.16 a symbol of its own says whether it is on by
// default.
func configuredUsercopy(f *Facts, s *session) Value[bool] {
	byDefault := "HARDENED_USERCOPY"
	if _, listed := f.Kernel.Config.V["HARDENED_USERCOPY_DEFAULT_ON"]; listed {
		byDefault = "HARDENED_USERCOPY_DEFAULT_ON"
	}
	return switched("HARDENED_USERCOPY", byDefault, "hardened_usercopy")(f, s)
}

// configuredModules: where there are no modules, none has memory that is writable and
// executable.
func configuredModules(f *Facts, s *session) Value[bool] {
	if c := f.Kernel.Config; c.Known() && !c.V.On("MODULES") {
		return known(true, c.Method, c.Source, c.V.Line("MODULES")).inferred()
	}
	return without("STRICT_MODULE_RWX", "rodata", "off")(f, s)
}

func readKASLR(f *Facts, _ *session) Value[bool] { return f.Zones.KASLR }

func readNoMem(f *Facts, _ *session) Value[bool] { return inverted(f.LastReaders.Mem.Driver) }

func readNoKcore(f *Facts, _ *session) Value[bool] { return inverted(f.LastReaders.Kcore.Driver) }

// readStrictMem: what is not there reaches nothing.
func readStrictMem(f *Facts, s *session) Value[bool] {
	if v := readNoMem(f, s); v.Known() && v.V {
		return v
	}
	return configured("STRICT_DEVMEM")(f, s)
}

func readProcMem(f *Facts, _ *session) Value[bool] { return inverted(f.LastReaders.ProcMemForced) }

func inferProcMem(f *Facts, _ *session) Value[bool] {
	return then(f.LastReaders.ProcMemOverride, func(mode string) (bool, string, error) { return mode != "always", "", nil })
}

func readPanicOnOops(f *Facts, _ *session) Value[bool] {
	return then(f.Sysctls.PanicOnOops, func(n int64) (bool, string, error) { return n != 0, "", nil })
}

func readShuffle(_ *Facts, s *session) Value[bool] {
	return readSwitch(s.sysfs("module", "page_alloc", "parameters", "shuffle"))
}

func readSlabChecks(f *Facts, _ *session) Value[bool] {
	return then(f.Slab.Checks, func(c SlabChecks) (bool, string, error) { return c.Full(), "", nil })
}

func readUnmerged(f *Facts, _ *session) Value[bool] {
	return then(f.Slab.Merged, func(n int) (bool, string, error) { return n == 0, "", nil })
}

// configuredUnmerged: slab_nomerge and slab_merge on the command line, else the default.
func configuredUnmerged(f *Facts, _ *session) Value[bool] {
	return then(f.Kernel.Config, func(c Config) (bool, string, error) {
		params, err := f.Kernel.Cmdline.Get()
		if err != nil {
			return false, "", err
		}
		for _, key := range []string{"slab_nomerge", "slub_nomerge"} {
			if p, ok := params.Lookup(key); ok {
				return true, p.String(), nil
			}
		}
		for _, key := range []string{"slab_merge", "slub_merge"} {
			if p, ok := params.Lookup(key); ok {
				return false, p.String(), nil
			}
		}
		return !c.On("SLAB_MERGE_DEFAULT"), c.Line("SLAB_MERGE_DEFAULT"), nil
	}).inferred()
}

// readLockdown takes the mode; else that the module is not active; else what is forced.
func readLockdown(f *Facts, _ *session) Value[bool] {
	v := then(f.Security.Lockdown, func(c Choice) (bool, string, error) { return lockdownRank(c.Selected) > 0, "", nil })
	if v.Known() || ReasonOf(v.Err) == Malformed {
		return v
	}
	if lsms := f.Security.LSMs; lsms.Known() && !slices.Contains(lsms.V, "lockdown") {
		return known(false, lsms.Method, lsms.Source, lsms.Raw)
	}
	return then(f.Security.LockdownFloor, func(mode string) (bool, string, error) {
		if lockdownRank(mode) > 0 {
			return true, "", nil
		}
		return false, "", fmt.Errorf("the mode cannot be read, and nothing forces one: %w", v.Err)
	})
}

// readECC: a driver that reports errors says which code the modules have.
func readECC(f *Facts, _ *session) Value[bool] {
	return then(f.Hardware.Controllers, func(controllers []MemoryController) (bool, string, error) {
		if len(controllers) == 0 {
			return false, "no memory controller", fmt.Errorf("%w: no driver reports on a memory controller; the memory may correct errors all the same", ErrAbsent)
		}
		for _, c := range controllers {
			if len(c.Modes) == 0 {
				return false, c.Name, fmt.Errorf("%w: %s says no code", ErrAbsent, c.Name)
			}
			for _, mode := range c.Modes {
				if mode == "None" || mode == "Unknown" || mode == "Reserved" {
					return false, c.Name + ": " + mode, nil
				}
			}
		}
		return true, fmt.Sprintf("%+v", controllers), nil
	})
}

// readEDAC: where nothing is registered, nothing reports.
func readEDAC(f *Facts, s *session) Value[bool] {
	v := f.Hardware.Controllers
	if system := exists(s.sysfs("devices", "system")); ReasonOf(v.Err) == Absent && system.Known() && system.V {
		return known(false, guarantee.Read, v.Source, "ENOENT")
	}
	return then(f.Hardware.Controllers, func(c []MemoryController) (bool, string, error) {
		if len(c) == 0 {
			return false, "no memory controller", nil
		}
		return true, "", nil
	})
}

// readStrictIOMMU: every group is translated, and unmapped at once.
func readStrictIOMMU(f *Facts, _ *session) Value[bool] {
	return then(f.Hardware.IOMMUGroups, func(types map[string]int) (bool, string, error) {
		for name := range types {
			if name != "DMA" && name != "blocked" {
				return false, "", nil
			}
		}
		return len(types) > 0, "", nil
	})
}

// readPoison: HardwareCorrupted is in meminfo exactly where pages can be taken out of
// use.
func readPoison(f *Facts, _ *session) Value[bool] {
	v := f.Hardware.PoisonedMemory
	if ReasonOf(v.Err) == Absent && f.Memory.Info.Known() {
		return known(false, guarantee.Read, v.Source, v.Raw)
	}
	return then(v, func(uint64) (bool, string, error) { return true, "", nil })
}

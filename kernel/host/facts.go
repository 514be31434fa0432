package host

import "github.com/safevma/safevma/guarantee"

// Facts is what one reading found. Sizes are in bytes unless a comment says otherwise.
// It is plain data, safe for concurrent reading.
type Facts struct {
	// Window is when it was read.
	Window guarantee.Window
	// Reader is who read it.
	Reader Value[Privileges] `fact:"reader"`

	Kernel       Kernel       `fact:"kernel"`
	Memory       Memory       `fact:"memory"`
	Commit       Commit       `fact:"commit"`
	Sysctls      Sysctls      `fact:"sysctl"`
	OOM          OOM          `fact:"oom"`
	Swap         Swap         `fact:"swap"`
	KSM          KSM          `fact:"ksm"`
	HugePages    HugePages    `fact:"hugepages"`
	Security     Security     `fact:"security"`
	LastReaders  LastReaders  `fact:"last_readers"`
	SecretMemory SecretMemory `fact:"secret_memory"`
	Zones        Zones        `fact:"zones"`
	CPU          CPU          `fact:"cpu"`
	Hardware     Hardware     `fact:"hardware"`
	Slab         Slab         `fact:"slab"`
	// Hardening is the kernel's own defences, each rated; in the order of the table,
	// without those that this architecture does not have.
	Hardening []Hardening
}

// Identity names the kernel and the boot, for reports. What is not known is "unknown".
func (f *Facts) Identity() guarantee.Host {
	host := guarantee.Host{Name: "unknown", Kernel: "unknown", Version: "unknown", Machine: "unknown", BootID: "unknown"}
	if id, err := f.Kernel.BootID.Get(); err == nil {
		host.BootID = guarantee.Text(id)
	}
	u, err := f.Kernel.Uname.Get()
	if err != nil {
		return host
	}
	for _, field := range []struct {
		to   *string
		from string
	}{{&host.Name, u.Node}, {&host.Kernel, u.Release}, {&host.Version, u.Version}, {&host.Machine, u.Machine}} {
		if field.from != "" {
			*field.to = guarantee.Text(field.from)
		}
	}
	return host
}

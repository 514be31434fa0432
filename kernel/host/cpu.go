package host

import (
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// CPU is what the processors can do.
type CPU struct {
	Info Value[CPUInfo] `fact:"info"`
	// Vulnerabilities are by name, such as "meltdown", in the kernel's words:
	// "Not affected", "Vulnerable…", "Mitigation: …", "Unknown…".
	Vulnerabilities Value[map[string]string] `fact:"vulnerabilities"`
	// ProtectionKeys is whether a protection key could be had.
	ProtectionKeys Value[bool] `fact:"protection_keys"`
}

// CPUInfo is /proc/cpuinfo.
type CPUInfo struct {
	Processors int `json:"processors"` // online
	// Vendor, Model and Microcode are those of the first one; the kernel says them on
	// x86 alone.
	Vendor    string `json:"vendor,omitempty"`
	Model     string `json:"model,omitempty"`
	Microcode string `json:"microcode,omitempty"`
	// Flags are what every processor has, sorted: "flags" on x86, "Features" on arm64.
	Flags []string `json:"flags"`
	// Uneven are flags that some have and others have not.
	Uneven []string `json:"uneven,omitempty"`
}

// Has reports whether every processor has a flag.
func (c CPUInfo) Has(flag string) bool {
	_, found := slices.BinarySearch(c.Flags, flag)
	return found
}

// CPUFeature is a flag that bears on the safety of memory.
type CPUFeature struct {
	Flag    string `json:"flag"`
	Words   string `json:"words"`
	Present bool   `json:"present"`
}

var cpuFeatures = map[string][]CPUFeature{
	"x86_64": {
		{Flag: "pku", Words: "has protection keys for user pages"},
		{Flag: "ospke", Words: "the kernel uses protection keys for user pages"},
		{Flag: "user_shstk", Words: "shadow stacks for processes"},
		{Flag: "ibt", Words: "indirect branch tracking in the kernel"},
		{Flag: "smep", Words: "the kernel cannot execute pages of processes"},
		{Flag: "smap", Words: "the kernel cannot access pages of processes by mistake"},
		{Flag: "umip", Words: "processes cannot read where the kernel's tables are"},
		{Flag: "la57", Words: "five levels of page tables"},
		{Flag: "nx", Words: "pages can be non-executable"},
		{Flag: "sme", Words: "memory encryption"},
		{Flag: "sev_snp", Words: "encrypted guests with integrity"},
	},
	"aarch64": {
		{Flag: "mte", Words: "memory tagging"},
		{Flag: "mte3", Words: "memory tagging with asymmetric checks"},
		{Flag: "bti", Words: "branch targets enforced"},
		{Flag: "paca", Words: "return addresses signed"},
		{Flag: "gcs", Words: "guarded control stacks"},
		{Flag: "poe", Words: "protection keys for user pages"},
	},
}

// Features lists the flags of an architecture, as uname -m names it, that bear on the
// safety of memory; none for an architecture that is not known here.
func (c CPUInfo) Features(machine string) []CPUFeature {
	features := slices.Clone(cpuFeatures[machine])
	for i := range features {
		features[i].Present = c.Has(features[i].Flag)
	}
	return features
}

func (s *session) cpu(f *Facts) {
	f.CPU = CPU{
		Info:            readStream(s.proc("cpuinfo"), parseCPUInfo),
		Vulnerabilities: s.vulnerabilities(),
	}
	f.CPU.ProtectionKeys = s.protectionKeys(f.CPU.Info)
}

// parseCPUInfo parses /proc/cpuinfo: a paragraph a processor, "key : value".
func parseCPUInfo(r io.Reader) (CPUInfo, string, error) {
	var info CPUInfo
	var raw string
	have := map[string]int{} // flag: how many processors have it
	lists := 0
	err := eachLine(r, func(line string) error {
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			if key != "" {
				return malformed("%s has no colon", quote(line))
			}
			return nil
		}
		switch key {
		case "processor":
			info.Processors++
		case "flags", "Features":
			lists++
			countFlags(have, value)
			if raw == "" {
				raw = line
			}
		case "vendor_id":
			first(&info.Vendor, value)
		case "model name":
			first(&info.Model, value)
		case "microcode":
			first(&info.Microcode, value)
		}
		return nil
	})
	if err != nil {
		return CPUInfo{}, raw, err
	}
	if info.Processors == 0 || lists != info.Processors {
		return CPUInfo{}, raw, malformed("%d processors with %d lists of flags", info.Processors, lists)
	}
	info.Flags = []string{}
	for flag, n := range have {
		if n == lists {
			info.Flags = append(info.Flags, flag)
		} else {
			info.Uneven = append(info.Uneven, flag)
		}
	}
	slices.Sort(info.Flags)
	slices.Sort(info.Uneven)
	return info, raw, nil
}

// countFlags counts each flag of one processor once.
func countFlags(have map[string]int, list string) {
	seen := map[string]bool{}
	for flag := range strings.FieldsSeq(list) {
		if !seen[flag] {
			seen[flag] = true
			have[flag]++
		}
	}
}

func first(to *string, value string) {
	if *to == "" {
		*to = value
	}
}

func (s *session) vulnerabilities() Value[map[string]string] {
	source := s.sysfs("devices", "system", "cpu", "vulnerabilities")
	names, err := list(source)
	if err != nil {
		return unknown[map[string]string](guarantee.Read, source, "", err)
	}
	slices.Sort(names)
	found := map[string]string{}
	var raw []string
	for _, name := range names {
		b, err := readFile(source + "/" + name)
		if err != nil {
			return unknown[map[string]string](guarantee.Read, source, name, err)
		}
		found[name] = strings.TrimSpace(string(b))
		raw = append(raw, name+": "+found[name])
	}
	return known(found, guarantee.Read, source, strings.Join(raw, "\n"))
}

// protectionKeys takes a key and gives it back. It is taken without rights, which is
// what a thread has for a key that nobody took: so the thread's rights are the same
// afterwards.
func (s *session) protectionKeys(cpu Value[CPUInfo]) Value[bool] {
	const source = "pkey_alloc(2)"
	if err := s.experiment(); err != nil {
		return unknown[bool](guarantee.Probe, source, "", err)
	}
	key, err := sys.PkeyAlloc(sys.PkeyDisableAccess)
	if err == nil {
		if err := sys.PkeyFree(key); err != nil {
			return unknown[bool](guarantee.Probe, source, "", err)
		}
		return known(true, guarantee.Probe, source, "a key was had")
	}
	// ENOSPC also says that this process has taken all keys.
	usedUp := errors.Is(err, syscall.ENOSPC) && (cpu.V.Has("ospke") || cpu.V.Has("poe"))
	if !usedUp && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOSYS)) {
		return known(false, guarantee.Probe, source, err.Error())
	}
	return unknown[bool](guarantee.Probe, source, err.Error(), err)
}

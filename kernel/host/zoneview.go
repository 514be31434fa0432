package host

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// ZoneView is a part of the kernel's address space: what can be seen of it, and who can
// read it.
type ZoneView struct {
	Name string `json:"name"`
	// What lies there.
	What string `json:"what"`
	// Size in bytes.
	Size Value[uint64] `json:"size"`
	// Seen is what else is known of it.
	Seen []string `json:"seen"`
	// Views tell of the zone, without its bytes.
	Views []ZoneSource `json:"views"`
	// Ways lead to its bytes.
	Ways []ZoneWay `json:"ways"`
}

// ZoneSource is a file that tells of a zone, and who may read it, by its mode: "everybody",
// "root", or "absent". Files for everybody may still hide addresses from most.
type ZoneSource struct {
	Path string `json:"path"`
	By   string `json:"by"`
}

// ZoneWay is a way to read the bytes of a zone.
type ZoneWay struct {
	Name string `json:"name"`
	// Needs is what it takes beside that.
	Needs string `json:"needs"`
	// Open is whether this kernel lets anybody.
	Open Value[bool] `json:"open"`
}

// ZoneViews lists the zones of the kernel's address space. The facts are those of the same
// Reader.
func (r *Reader) ZoneViews(f *Facts) []ZoneView {
	s := &session{Reader: r}
	z := &f.Zones
	ways := zoneWays(f)
	kcore, mem, bpf, kprobe, module := ways[0], ways[1], ways[2], ways[3], ways[4]
	return []ZoneView{
		{Name: "linear map", What: "all memory, one frame after the other: every page of every process, except secret memory",
			Size: then(z.SystemRAM, func(r Ranges) (uint64, string, error) { return r.Bytes, "", nil }),
			Seen: seenDirectMap(z), Views: s.sources("meminfo", "iomem", "kpageflags"), Ways: []ZoneWay{kcore, mem, bpf, kprobe, module}},
		{Name: "image", What: "the kernel's code, constants and variables", Size: then(z.Image, sizeOfImage), Seen: seenImage(z),
			Views: s.sources("iomem", "kallsyms"), Ways: []ZoneWay{kcore, mem, bpf, kprobe, module}},
		{Name: "modules", What: "code and variables of modules", Size: then(z.Modules, func(m Modules) (uint64, string, error) { return m.Bytes, "", nil }),
			Seen: seenModules(z), Views: s.sources("modules", "kallsyms"), Ways: []ZoneWay{kcore, bpf, kprobe, module}},
		{Name: "vmalloc", What: "stacks of threads, large tables, buffers shared with processes, device registers",
			Size: then(z.Vmalloc, func(v Vmalloc) (uint64, string, error) { return v.Bytes, "", nil }), Seen: seenVmalloc(z),
			Views: s.sources("vmallocinfo"), Ways: []ZoneWay{kcore, bpf, kprobe, module}},
		{Name: "vmemmap", What: "struct page: what each frame is used for", Size: z.Vmemmap, Seen: []string{},
			Views: s.sources("kpageflags", "kpagecount", "kpagecgroup"), Ways: []ZoneWay{kcore, bpf, kprobe, module}},
		{Name: "fixmap", What: "addresses fixed when the kernel was built: interrupt controllers, early mappings, on x86 the vsyscall page",
			Size: then(z.PageTables, sizeOfFixmap), Seen: seenFixmap(z), Views: append(s.sources("self/maps"), s.source(s.sysfs("kernel/debug/page_tables/kernel"))),
			Ways: []ZoneWay{bpf, kprobe, module}},
	}
}

// zoneWays: what the kernel answers where it was tried, else what follows from its
// configuration and the lockdown mode (security/lockdown/lockdown.c).
func zoneWays(f *Facts) []ZoneWay {
	return []ZoneWay{
		{"/proc/kcore", "CAP_SYS_RAWIO", f.LastReaders.Kcore.Opens},
		{"/dev/mem", "CAP_SYS_RAWIO; memory itself only without CONFIG_STRICT_DEVMEM", devMemRAM(f)},
		{"BPF programs", "CAP_BPF and CAP_PERFMON", allowed(f, "BPF_SYSCALL")},
		{"kprobes", "CAP_SYS_ADMIN", allowed(f, "KPROBES")},
		{"a module", "CAP_SYS_MODULE; a signature in lockdown", builtWith(f, "MODULES")},
	}
}

// devMemRAM: where the device opens, the configuration says whether it has memory.
func devMemRAM(f *Facts) Value[bool] {
	opens := f.LastReaders.Mem.Opens
	if !opens.Known() || !opens.V {
		return opens
	}
	return then(f.Kernel.Config, func(c Config) (bool, string, error) {
		return !c.On("STRICT_DEVMEM"), c.Line("STRICT_DEVMEM"), nil
	}).inferred()
}

func builtWith(f *Facts, option string) Value[bool] {
	return then(f.Kernel.Config, func(c Config) (bool, string, error) { return c.On(option), c.Line(option), nil }).inferred()
}

// allowed: configured, and not refused by lockdown=confidentiality.
func allowed(f *Facts, option string) Value[bool] {
	on := builtWith(f, option)
	if !on.Known() || !on.V {
		return on
	}
	locked, err := f.Security.Lockdown.Get()
	switch {
	case err == nil && refuses(f.Security.Lockdown, "confidentiality"):
		return known(false, guarantee.Inference, f.Security.Lockdown.Source, f.Security.Lockdown.Raw)
	case err != nil && ReasonOf(err) != Absent:
		return unknown[bool](guarantee.Inference, f.Security.Lockdown.Source, "", err)
	}
	on.Raw = strings.TrimSpace(on.Raw + "; lockdown " + locked.Selected)
	return on
}

func (s *session) sources(names ...string) []ZoneSource {
	var all []ZoneSource
	for _, name := range names {
		all = append(all, s.source(s.proc(name)))
	}
	return all
}

func (s *session) source(path string) ZoneSource {
	st, err := sys.StatAt(sys.AtFDCWD, path)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return ZoneSource{path, "absent"}
	case err != nil:
		return ZoneSource{path, "root"} // a directory on the way is for root
	case st.Mode&0o004 != 0:
		return ZoneSource{path, "everybody"}
	}
	return ZoneSource{path, "root"}
}

func sizeOfImage(ranges []Range) (uint64, string, error) {
	var sum uint64
	for _, r := range ranges {
		sum += r.Size()
	}
	return sum, "", nil
}

func sizeOfFixmap(areas []PageTableArea) (uint64, string, error) {
	for _, area := range areas {
		if strings.HasPrefix(strings.ToLower(area.Name), "fixmap") {
			return area.Mapped, area.Name, nil
		}
	}
	return 0, "", fmt.Errorf("%w: the dump of the page tables has no fixmap", ErrAbsent)
}

func seenDirectMap(z *Zones) []string {
	sizes, err := z.DirectMap.Get()
	if err != nil {
		return []string{}
	}
	seen := []string{}
	for _, name := range []string{"DirectMap4k", "DirectMap2M", "DirectMap4M", "DirectMap1G"} {
		if n, ok := sizes[name]; ok {
			seen = append(seen, fmt.Sprintf("%d MiB mapped by pages of %s", n>>20, strings.TrimPrefix(name, "DirectMap")))
		}
	}
	return seen
}

func seenImage(z *Zones) []string {
	random, err := z.KASLR.Get()
	switch {
	case err != nil:
		return []string{"whether its address is random is unknown"}
	case random:
		return []string{"at a random address"}
	}
	return []string{"at the address that it was linked at (no KASLR)"}
}

func seenModules(z *Zones) []string {
	m, err := z.Modules.Get()
	if err != nil {
		return []string{}
	}
	return []string{fmt.Sprintf("%d modules", m.Count)}
}

func seenVmalloc(z *Zones) []string {
	v, err := z.Vmalloc.Get()
	if err != nil {
		return []string{}
	}
	user, device := v.Uses["user"], v.Uses["ioremap"]
	return []string{
		fmt.Sprintf("%d areas; %d KiB in %d areas for mapping into processes, too", v.Areas, user.Bytes>>10, user.Areas),
		fmt.Sprintf("%d KiB of device registers in %d areas", device.Bytes>>10, device.Areas),
	}
}

func seenFixmap(z *Zones) []string {
	perms, err := z.Vsyscall.Get()
	switch {
	case err != nil:
		return []string{}
	case perms == "none":
		return []string{"no page of it is mapped for processes"}
	}
	return []string{"the vsyscall page is mapped into every process as " + perms}
}

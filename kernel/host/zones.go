package host

import (
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// Zones is the kernel's own address space: what lies in it beside the memory of the
// processes.
type Zones struct {
	// SystemRAM is the memory that the kernel manages, by /proc/iomem. Readers without
	// CAP_SYS_ADMIN see no addresses there: denied.
	SystemRAM Value[Ranges] `fact:"system_ram"`
	// Image is where the kernel itself lies in that memory: code, rodata, data, bss.
	Image Value[[]Range] `fact:"kernel_image"`
	// DirectMap is how much of the linear map is mapped with pages of which size, in
	// bytes; absent where the architecture does not count it. Smaller pages come from
	// splits, such as those for secret memory.
	DirectMap Value[map[string]uint64] `fact:"direct_map"`
	// DirectMapSplits counts, since the boot, how often a large page of the linear map
	// was split or made whole again.
	DirectMapSplits Value[map[string]uint64] `fact:"direct_map_splits"`
	// Vmalloc is the area for what need not be contiguous; readable for the superuser.
	Vmalloc Value[Vmalloc] `fact:"vmalloc"`
	// Vmemmap is the size of the array of struct page. It is an inference where the
	// kernel does not count it.
	Vmemmap Value[uint64] `fact:"vmemmap"`
	// TextAddress is where the kernel's code begins in its address space.
	TextAddress Value[uint64] `fact:"text_address"`
	// KASLR is whether that address is random: by the address itself, where it can be
	// read and is known for this architecture. That it is off can also be an inference.
	KASLR Value[bool] `fact:"kaslr"`
	// PageTables is the kernel's page tables area by area (fixmap, vmemmap, …), where
	// debugfs has them (CONFIG_PTDUMP_DEBUGFS).
	PageTables Value[[]PageTableArea] `fact:"page_tables"`
	// Modules are loaded into an area of their own; absent where the kernel has none.
	Modules Value[Modules] `fact:"modules"`
	// Vsyscall is how the vsyscall page, of the fixmap, is mapped into processes (x86):
	// such as "--xp", or "none".
	Vsyscall Value[string] `fact:"vsyscall"`
	// Nodes is the zones of the page allocator.
	Nodes Value[[]Zone] `fact:"zoneinfo"`
}

func (s *session) zones(f *Facts) {
	z := &f.Zones
	iomem := readStream(s.proc("iomem"), parseIomem)
	z.SystemRAM = then(iomem, systemRAM)
	z.Image = then(iomem, kernelImage)
	z.DirectMap = directMap(f.Memory.Info)
	z.DirectMapSplits = directMapSplits(f.Memory.VMStat)
	z.Vmalloc = readStream(s.proc("vmallocinfo"), parseVmalloc)
	z.Nodes = readStream(s.proc("zoneinfo"), parseZoneinfo)
	z.Modules = readStream(s.proc("modules"), parseModules)
	z.Vsyscall = readStream(s.proc("self/maps"), parseVsyscall)
	z.Vmemmap = s.vmemmap(f)
	z.TextAddress = readStream(s.proc("kallsyms"), parseTextAddress)
	z.KASLR = kaslr(z.TextAddress, f.Kernel)
	z.PageTables = readPseudo(s, debugfs, "kernel_page_tables", parsePageTables)
	if ReasonOf(z.PageTables.Err) == Absent { // its place on x86
		z.PageTables = readPseudo(s, debugfs, "page_tables/kernel", parsePageTables)
	}
}

// directMap takes the counters of arch_report_meminfo.
func directMap(info Value[Table]) Value[map[string]uint64] {
	return prefixed(info, "DirectMap", "")
}

func directMapSplits(vmstat Value[Table]) Value[map[string]uint64] {
	return prefixed(vmstat, "direct_map_", "direct_map_")
}

// prefixed takes the lines of a table that begin with a prefix.
func prefixed(v Value[Table], prefix, cut string) Value[map[string]uint64] {
	return then(v, func(t Table) (map[string]uint64, string, error) {
		found := map[string]uint64{}
		var lines []string
		for _, name := range t.Names() {
			if strings.HasPrefix(name, prefix) {
				found[strings.TrimPrefix(name, cut)] = t.Numbers[name]
				lines = append(lines, lineOf(v.Raw, name))
			}
		}
		for name := range t.Bad {
			if strings.HasPrefix(name, prefix) {
				_, err := t.Get(name)
				return nil, lineOf(v.Raw, name), err
			}
		}
		if len(found) == 0 {
			return nil, "no " + prefix, fmt.Errorf("%w: no line begins with %s", ErrAbsent, prefix)
		}
		return found, strings.Join(lines, "\n"), nil
	})
}

// structPage is the size of struct page on 64-bit kernels without debugging options.
const structPage = 64

// pageSize is known for the running kernel, and for architectures that have one.
func (s *session) pageSize(machine string) (uint64, error) {
	switch {
	case s.live:
		return uint64(os.Getpagesize()), nil
	case machine == "x86_64":
		return 4096, nil
	}
	return 0, fmt.Errorf("%w: the size of its pages is not known", ErrNotLive)
}

// pagesMax keeps a product with the size of a page below 2^64.
const pagesMax = 1 << 44

// vmemmap is counted since Linux 6.12; before, it follows from the pages that there are.
func (s *session) vmemmap(f *Facts) Value[uint64] {
	counted := then(f.Memory.VMStat, func(t Table) (uint64, string, error) {
		return s.countedVmemmap(t, f.Memory.VMStat.Raw, f.Kernel.Uname.V.Machine)
	})
	if counted.Known() || ReasonOf(counted.Err) != Absent {
		return counted
	}
	return then(f.Zones.Nodes, func(zones []Zone) (uint64, string, error) {
		var pages uint64
		for _, zone := range zones {
			pages += min(zone.Present, pagesMax)
		}
		raw := fmt.Sprintf("%d present pages × %d bytes", pages, structPage)
		if pages == 0 || pages >= pagesMax {
			return 0, raw, malformed("%d present pages", pages)
		}
		return pages * structPage, raw, nil
	}).inferred()
}

func (s *session) countedVmemmap(t Table, text, machine string) (uint64, string, error) {
	var pages uint64
	var raw []string
	for _, name := range []string{"nr_memmap_pages", "nr_memmap_boot_pages"} {
		n, err := t.Get(name)
		if err != nil {
			return 0, "no " + name, err
		}
		pages += min(n, pagesMax)
		raw = append(raw, lineOf(text, name))
	}
	if pages >= pagesMax {
		return 0, strings.Join(raw, "\n"), malformed("%d pages", pages)
	}
	size, err := s.pageSize(machine)
	return pages * size, strings.Join(raw, "\n"), err
}

// textAtLink is where the kernel's code begins where nothing moves it, for the
// architectures where that is one known address: x86 has CONFIG_PHYSICAL_START above
// __START_KERNEL_map (arch/x86/include/asm/page_types.h).
func textAtLink(machine string, c Config) (uint64, bool) {
	if machine != "x86_64" {
		return 0, false
	}
	start, err := parseHex(strings.TrimPrefix(c["PHYSICAL_START"], "0x"))
	if err != nil {
		return 0, false
	}
	align, err := parseHex(strings.TrimPrefix(c["PHYSICAL_ALIGN"], "0x"))
	if err != nil || align == 0 || align&(align-1) != 0 {
		return 0, false
	}
	return 0xffffffff80000000 + (start+align-1)&^(align-1), true
}

// kaslr compares the address of the code with the one that it was linked at. A random
// address is that one in a few of a thousand boots; it is as predictable then.
//
// Without the address, the configuration and the command line can only say that it is
// off: a loader that starts the kernel without its decompressor, as some virtual
// machines do, leaves it out, whatever they say.
func kaslr(text Value[uint64], kernel Kernel) Value[bool] {
	config, configErr := kernel.Config.Get()
	address, err := text.Get()
	link, ok := textAtLink(kernel.Uname.V.Machine, config)
	if err == nil && configErr == nil && kernel.Uname.Known() && ok {
		raw := fmt.Sprintf("%s; linked at %#x", text.Raw, link)
		return known(address != link, guarantee.Read, text.Source, raw)
	}
	if err == nil {
		err = fmt.Errorf("%w: where the kernel was linked is not known for this architecture", ErrAbsent)
	}
	return then(kernel.Config, func(c Config) (bool, string, error) {
		if !c.On("RANDOMIZE_BASE") {
			return false, c.Line("RANDOMIZE_BASE"), nil
		}
		params, cmdlineErr := kernel.Cmdline.Get()
		if cmdlineErr != nil {
			return false, "", cmdlineErr
		}
		if p, ok := params.Lookup("nokaslr"); ok {
			return false, p.String(), nil
		}
		return false, c.Line("RANDOMIZE_BASE"), fmt.Errorf("configured, but not seen: %w", err)
	}).inferred()
}

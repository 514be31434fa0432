package probe

const docZones = "Documentation/arch/x86/x86_64/mm.rst"

// linearMap returns where the kernel's linear map has page frame 0.
func (t *trial) linearMap() uint64 { return t.base("page_offset_base", 0xffff888000000000) }

// base returns where a part of the kernel's address space begins. With KASLR the kernel holds
// that in a variable; without, it is what Documentation/arch/x86/x86_64/mm.rst says (4-level
// paging).
func (t *trial) base(variable string, withoutKASLR uint64) uint64 {
	if at := t.symbol(variable); at != 0 {
		return t.kernelWord(at, variable)
	}
	return withoutKASLR
}

// kernelZones are the parts of the kernel's address space, with an address at which each has
// something: the page itself and its struct page, the first area, function and module. Of the
// fixmap no more than its place is known: what is mapped there are registers, which a read could
// disturb.
var kernelZones = []zone{
	{"linear", "linear map", true, func(t *trial) uint64 { return t.linearMap() + t.frame(t.anon(1))*uint64(pageSize) }},
	{"vmalloc", "vmalloc area", true, func(t *trial) uint64 { return t.base("vmalloc_base", 0xffffc90000000000) }},
	{"vmemmap", "vmemmap", true, func(t *trial) uint64 {
		const structPage = 64 // bytes
		return t.base("vmemmap_base", 0xffffea0000000000) + t.frame(t.anon(1))*structPage
	}},
	{"text", "text", true, func(t *trial) uint64 { return t.symbol("_stext") }},
	{"modules", "area of modules", true, func(*trial) uint64 { return firstModule(0xffffffffc0000000) }},
	{"fixmap", "fixmap", false, func(*trial) uint64 { return 0xffffffffff578000 }},
}

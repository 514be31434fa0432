package host

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Vmalloc is the kernel's vmalloc area (/proc/vmallocinfo). Sizes are of address space,
// with the guard page of each area.
type Vmalloc struct {
	Areas uint64 `json:"areas"`
	Bytes uint64 `json:"bytes"`
	// Pages is how many pages of memory stand behind the areas that say so.
	Pages uint64 `json:"pages"`
	// Uses are by what an area is for: "vmalloc", "vmap", "ioremap", "user" (also mapped
	// into a process), "dma-coherent", "sparse", "vm_map_ram", "unpurged" (given back,
	// not unmapped yet; not in the sums above) and "other".
	Uses map[string]VmallocUse `json:"uses"`
	// Callers are the functions with most bytes, largest first, at most 10.
	Callers []VmallocCaller `json:"callers"`
}

// VmallocUse sums up the areas of one use.
type VmallocUse struct {
	Areas uint64 `json:"areas"`
	Bytes uint64 `json:"bytes"`
}

// VmallocCaller sums up the areas that one function of the kernel made.
type VmallocCaller struct {
	Function string `json:"function"`
	VmallocUse
}

// callersMax is how many callers are kept.
const callersMax = 10

// parseVmalloc parses lines such as "0x0000000089f14520-0x00000000a3ff55ef 20480
// kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4". The addresses are hashed and are not
// used.
func parseVmalloc(r io.Reader) (Vmalloc, string, error) {
	v := Vmalloc{Uses: map[string]VmallocUse{}}
	callers := map[string]VmallocUse{}
	err := eachLine(r, func(line string) error {
		area, err := parseVmallocArea(line)
		if err != nil {
			return err
		}
		if v.Uses[area.use], err = v.Uses[area.use].add(area.bytes); err != nil || area.use == "unpurged" {
			return err
		}
		total, err := VmallocUse{v.Areas, v.Bytes}.add(area.bytes)
		if err != nil {
			return err
		}
		v.Areas, v.Bytes = total.Areas, total.Bytes
		if v.Pages += area.pages; v.Pages < area.pages {
			return malformed("more than 2^64 pages")
		}
		callers[area.caller], err = callers[area.caller].add(area.bytes)
		return err
	})
	if err != nil {
		return Vmalloc{}, "", err
	}
	v.Callers = largest(callers)
	return v, fmt.Sprintf("%d areas, %d bytes", v.Areas, v.Bytes), nil
}

func (u VmallocUse) add(bytes uint64) (VmallocUse, error) {
	u.Areas++
	if u.Bytes += bytes; u.Bytes < bytes {
		return u, malformed("the areas have more than 2^64 bytes")
	}
	return u, nil
}

func largest(callers map[string]VmallocUse) []VmallocCaller {
	delete(callers, "")
	names := slices.SortedFunc(maps.Keys(callers), func(a, b string) int {
		return cmp.Or(cmp.Compare(callers[b].Bytes, callers[a].Bytes), strings.Compare(a, b))
	})
	list := []VmallocCaller{}
	for _, name := range names[:min(len(names), callersMax)] {
		list = append(list, VmallocCaller{name, callers[name]})
	}
	return list
}

type vmallocArea struct {
	bytes, pages uint64
	caller, use  string
}

func parseVmallocArea(line string) (vmallocArea, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "0x") || !strings.Contains(fields[0], "-") {
		return vmallocArea{}, malformed("%s is not an area of vmalloc", quote(line))
	}
	var area vmallocArea
	var err error
	if area.bytes, err = parseUint(fields[1]); err != nil {
		return vmallocArea{}, err
	}
	words := fields[2:]
	if len(words) > 0 && strings.Contains(words[0], "+0x") {
		area.caller, _, _ = strings.Cut(words[0], "+0x")
		words = words[1:]
	}
	for _, word := range words {
		if pages, ok := strings.CutPrefix(word, "pages="); ok {
			if area.pages, err = parseUint(pages); err != nil {
				return vmallocArea{}, err
			}
		}
	}
	area.use = vmallocUse(words)
	return area, nil
}

// vmallocUse takes the word that matters most: an area that a process can reach is
// that first.
func vmallocUse(words []string) string {
	for _, use := range []string{"unpurged", "user", "ioremap", "dma-coherent", "sparse", "vmap", "vmalloc", "vm_map_ram"} {
		if slices.Contains(words, use) {
			return use
		}
	}
	return "other"
}

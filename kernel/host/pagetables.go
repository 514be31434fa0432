package host

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// PageTableArea is one area of the kernel's page tables, such as "Fixmap Area".
type PageTableArea struct {
	Name   string `json:"name"`
	Mapped uint64 `json:"mapped"` // bytes
	// WritableExecutable is how many of them are both; none should be.
	WritableExecutable uint64 `json:"writable_executable"`
}

// parsePageTables parses the dump of the kernel's page tables (CONFIG_PTDUMP_DEBUGFS,
// Documentation/arch/arm64/ptdump.rst, arch/x86/mm/dump_pagetables.c): headings such as
// "---[ vmalloc() Area ]---", and below each "0xffff888000000000-0xffff888000001000  4K
// RW GLB NX pte".
func parsePageTables(r io.Reader) ([]PageTableArea, string, error) {
	var areas []PageTableArea
	err := eachLine(r, func(line string) error {
		if name, ok := strings.CutPrefix(line, "---[ "); ok {
			name, ok := strings.CutSuffix(strings.TrimRight(name, " "), " ]---")
			if !ok {
				return malformed("%s is not a heading", quote(line))
			}
			areas = append(areas, PageTableArea{Name: name})
			return nil
		}
		if strings.TrimSpace(line) == "" {
			return nil
		}
		if len(areas) == 0 {
			return malformed("%s before the first heading", quote(line))
		}
		return areas[len(areas)-1].add(line)
	})
	if err != nil {
		return nil, "", err
	}
	if len(areas) == 0 {
		return nil, "", malformed("no area")
	}
	var bad uint64
	for _, area := range areas {
		bad += area.WritableExecutable
	}
	return areas, fmt.Sprintf("%d areas, %d bytes writable and executable", len(areas), bad), nil
}

// add takes a line with a range. One without a protection is not mapped.
func (a *PageTableArea) add(line string) error {
	fields := strings.Fields(line)
	first, last, ok := strings.Cut(fields[0], "-")
	if !ok || len(fields) < 2 {
		return malformed("%s is not a range", quote(line))
	}
	start, err := parseHex(strings.TrimPrefix(first, "0x"))
	if err != nil {
		return err
	}
	end, err := parseHex(strings.TrimPrefix(last, "0x"))
	if err != nil {
		return err
	}
	writable, readOnly := slices.Contains(fields, "RW"), slices.Contains(fields, "ro")
	if !writable && !readOnly {
		return nil
	}
	size := end - start // the end may be 0: the end of the address space
	if size == 0 || (end != 0 && end < start) || a.Mapped+size < a.Mapped {
		return malformed("%s ends before it begins", quote(line))
	}
	a.Mapped += size
	if writable && slices.Contains(fields, "x") {
		a.WritableExecutable += size
	}
	return nil
}

package host

import (
	"fmt"
	"io"
	"strings"
)

// Range is a range of physical addresses (/proc/iomem).
type Range struct {
	Start uint64 `json:"start"`
	Last  uint64 `json:"last"` // the last address that belongs to it
	Name  string `json:"name"`
}

// Size returns the number of bytes; 0 for the whole 64 bits.
func (r Range) Size() uint64 { return r.Last - r.Start + 1 }

// Ranges are several, with the sum of their sizes.
type Ranges struct {
	Bytes  uint64  `json:"bytes"`
	Ranges []Range `json:"ranges"`
}

// parseIomem parses /proc/iomem: "00100000-bfffffff : System RAM", deeper resources
// indented. Readers without CAP_SYS_ADMIN see zeroes in place of all addresses: then
// the error is [ErrDenied].
func parseIomem(r io.Reader) ([]Range, string, error) {
	var ranges []Range
	var addresses bool
	err := eachLine(r, func(line string) error {
		span, name, ok := strings.Cut(strings.TrimLeft(line, " "), " : ")
		first, last, ok2 := strings.Cut(span, "-")
		if !ok || !ok2 {
			return malformed("%s is not first-last : name", quote(line))
		}
		start, err := parseHex(first)
		if err != nil {
			return err
		}
		end, err := parseHex(last)
		if err != nil {
			return err
		}
		if end < start {
			return malformed("%s ends before it begins", quote(line))
		}
		addresses = addresses || end > 0
		ranges = append(ranges, Range{start, end, name})
		return nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case len(ranges) == 0:
		return nil, "", malformed("no line")
	case !addresses:
		return nil, "00000000-00000000 : " + ranges[0].Name, fmt.Errorf("%w: all addresses are shown as zero", ErrDenied)
	}
	return ranges, "", nil
}

// systemRAM takes all memory that the kernel manages, also what was added later
// ("System RAM (kmem)").
func systemRAM(all []Range) (Ranges, string, error) {
	var ram Ranges
	var raw []string
	for _, r := range all {
		if !strings.HasPrefix(r.Name, "System RAM") {
			continue
		}
		sum := ram.Bytes + r.Size()
		if sum <= ram.Bytes {
			return Ranges{}, rawRange(r), malformed("the memory has more than 2^64 bytes")
		}
		ram.Bytes = sum
		ram.Ranges = append(ram.Ranges, r)
		raw = append(raw, rawRange(r))
	}
	if len(ram.Ranges) == 0 {
		return Ranges{}, "", malformed("no System RAM")
	}
	return ram, strings.Join(raw, "\n"), nil
}

func kernelImage(all []Range) ([]Range, string, error) {
	var image []Range
	var raw []string
	for _, r := range all {
		switch r.Name {
		case "Kernel code", "Kernel rodata", "Kernel data", "Kernel bss":
			image = append(image, r)
			raw = append(raw, rawRange(r))
		}
	}
	if len(image) == 0 {
		return nil, "", fmt.Errorf("%w: no Kernel code", ErrAbsent)
	}
	return image, strings.Join(raw, "\n"), nil
}

func rawRange(r Range) string { return fmt.Sprintf("%08x-%08x : %s", r.Start, r.Last, r.Name) }

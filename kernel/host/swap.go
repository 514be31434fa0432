package host

import "strings"

// Swap is where memory can leave the memory to.
type Swap struct {
	// Areas is empty where there is no swap; absent where the kernel was built without.
	Areas Value[[]SwapArea] `fact:"areas"`
	// Swappiness is 0 to 200: how readily anonymous pages go.
	Swappiness Value[int64] `fact:"swappiness"`
	// Zswap is whether pages are kept compressed in memory on their way to a swap area.
	Zswap Value[bool] `fact:"zswap"`
}

// SwapArea is one file or partition (proc_swaps(5)).
type SwapArea struct {
	Name     string `json:"name"` // any bytes; ends with " (deleted)" where it has no name any more
	Type     string `json:"type"` // "partition" or "file"
	Size     uint64 `json:"size"`
	Used     uint64 `json:"used"`
	Priority int64  `json:"priority"`
}

func (s *session) swap(f *Facts) {
	f.Swap = Swap{
		Areas:      read(s.proc("swaps"), parseSwaps),
		Swappiness: s.sysctl("vm/swappiness", 0, 200),
		Zswap:      readSwitch(s.sysfs("module", "zswap", "parameters", "enabled")),
	}
}

// parseSwaps parses /proc/swaps. The first line is a heading.
func parseSwaps(text string) ([]SwapArea, error) {
	heading, rest, _ := strings.Cut(text, "\n")
	if strings.Join(strings.Fields(heading), " ") != "Filename Type Size Used Priority" {
		return nil, malformed("%s is not the heading of /proc/swaps", quote(heading))
	}
	areas := []SwapArea{}
	for line := range strings.Lines(rest) {
		area, err := parseSwapArea(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		areas = append(areas, area)
	}
	return areas, nil
}

// parseSwapArea parses one line. White space in the name is escaped, so the name is the
// first field; only the type is followed by tabs.
func parseSwapArea(line string) (SwapArea, error) {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return SwapArea{}, malformed("%s has %d fields, and not 5", quote(line), len(fields))
	}
	area := SwapArea{Name: unescapeOctal(fields[0]), Type: fields[1]}
	var err error
	if area.Size, err = parseKiB(fields[2]); err != nil {
		return SwapArea{}, err
	}
	if area.Used, err = parseKiB(fields[3]); err != nil {
		return SwapArea{}, err
	}
	if area.Used > area.Size {
		return SwapArea{}, malformed("%s: more is used than there is", quote(line))
	}
	area.Priority, err = parseInt(fields[4], -1<<31, 1<<31-1)
	return area, err
}

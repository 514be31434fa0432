package host

import (
	"fmt"
	"io"
	"strings"
)

// Zone is one zone of the page allocator (/proc/zoneinfo), in pages.
type Zone struct {
	Node    int64  `json:"node"`
	Name    string `json:"name"`
	Free    uint64 `json:"free"`
	Min     uint64 `json:"min"`     // the watermarks
	Low     uint64 `json:"low"`     //
	High    uint64 `json:"high"`    //
	Spanned uint64 `json:"spanned"` // with holes
	Present uint64 `json:"present"` // without
	Managed uint64 `json:"managed"` // by the page allocator
}

// parseZoneinfo parses /proc/zoneinfo (proc_zoneinfo(5)).
func parseZoneinfo(r io.Reader) ([]Zone, string, error) {
	var zones []Zone
	var seen map[string]bool
	err := eachLine(r, func(line string) error {
		if rest, ok := strings.CutPrefix(line, "Node "); ok {
			if err := complete(zones, seen); err != nil {
				return err
			}
			zone, err := parseZoneHeading(rest)
			if err != nil {
				return err
			}
			zones, seen = append(zones, zone), map[string]bool{}
			return nil
		}
		if len(zones) == 0 {
			return malformed("%s before the first zone", quote(line))
		}
		return zones[len(zones)-1].set(strings.Fields(line), seen)
	})
	if err == nil {
		err = complete(zones, seen)
	}
	switch {
	case err != nil:
		return nil, "", err
	case len(zones) == 0:
		return nil, "", malformed("no zone")
	}
	var raw []string
	for _, z := range zones {
		raw = append(raw, fmt.Sprintf("Node %d, zone %s: spanned %d present %d managed %d", z.Node, z.Name, z.Spanned, z.Present, z.Managed))
	}
	return zones, strings.Join(raw, "\n"), nil
}

// parseZoneHeading parses the rest of "Node 0, zone   Normal".
func parseZoneHeading(rest string) (Zone, error) {
	node, name, ok := strings.Cut(rest, ", zone")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return Zone{}, malformed("%s does not name a zone", quote(rest))
	}
	n, err := parseInt(node, 0, 1<<20)
	return Zone{Node: n, Name: name}, err
}

// set takes a line of the zone that Zone has a field for. Some of the names come again
// in the statistics of each processor, but with a colon.
func (z *Zone) set(fields []string, seen map[string]bool) error {
	if len(fields) == 3 && fields[0] == "pages" && fields[1] == "free" {
		fields = []string{"free", fields[2]}
	}
	if len(fields) != 2 {
		return nil
	}
	to := map[string]*uint64{
		"free": &z.Free, "min": &z.Min, "low": &z.Low, "high": &z.High,
		"spanned": &z.Spanned, "present": &z.Present, "managed": &z.Managed,
	}[fields[0]]
	if to == nil {
		return nil
	}
	if seen[fields[0]] {
		return malformed("zone %s has %s twice", z.Name, fields[0])
	}
	seen[fields[0]] = true
	n, err := parseUint(fields[1])
	if err != nil {
		return fmt.Errorf("zone %s: %s: %w", z.Name, fields[0], err)
	}
	*to = n
	return nil
}

// complete checks that the last zone has what cannot be missing, and that it adds up.
func complete(zones []Zone, seen map[string]bool) error {
	if len(zones) == 0 {
		return nil
	}
	z := zones[len(zones)-1]
	for _, name := range []string{"spanned", "present", "managed"} {
		if !seen[name] {
			return malformed("zone %s has no %s", z.Name, name)
		}
	}
	if z.Present > z.Spanned || z.Managed > z.Present {
		return malformed("zone %s: spanned %d, present %d, managed %d do not go down", z.Name, z.Spanned, z.Present, z.Managed)
	}
	return nil
}

package feature

import (
	"regexp"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab/machine"
)

// Every feature says what it is, can be found by its name, and can be probed.
func TestRegistry(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, f := range All() {
		if !name.MatchString(f.Name) || seen[f.Name] {
			t.Errorf("name %q: it must be lower-case words with hyphens, and there once", f.Name)
		}
		seen[f.Name] = true
		if f.Title == "" || strings.Contains(f.Title, "\n") || strings.Contains(f.Title, "|") || f.Source == "" || f.probe == nil {
			t.Errorf("%s: it needs a title of one line, a source and a probe", f.Name)
		}
		if _, err := parseRelease(f.Since); err != nil {
			t.Errorf("%s: since %v", f.Name, err)
		}
		if got, ok := Find(f.Name); !ok || got.Name != f.Name {
			t.Errorf("Find(%q) = %q, %t", f.Name, got.Name, ok)
		}
	}
	if f, ok := Find("no-such-feature"); ok {
		t.Errorf("found %q", f.Name)
	}
}

func TestExpected(t *testing.T) {
	tests := []struct {
		feature string
		machine machine.Machine
		want    bool
		why     string // what the reason names
	}{
		{"mseal", machine.Machine{Kernel: "6.9.12"}, false, "since 6.10"},
		{"mseal", machine.Machine{Kernel: "6.10-rc1"}, true, "since 6.10"},
		{"mseal", machine.Machine{Kernel: "6.12.117+deb13-amd64"}, true, "since 6.10"},
		{"mseal", machine.Machine{Kernel: "5.99.0"}, false, "since 6.10"},
		{"mseal", machine.Machine{Kernel: "7.0.0"}, true, "since 6.10"},
		{"mseal", machine.Machine{Kernel: "newest"}, true, "not a kernel release"},
		{"mseal", machine.Machine{}, true, "not a kernel release"},
		{"pku", machine.Machine{Kernel: "6.12", Arch: "amd64"}, true, "6.12"},
		{"pku", machine.Machine{Kernel: "6.12", Arch: "arm64"}, false, "arm64"},
		{"numa", machine.Machine{Kernel: "6.12", NUMANodes: 2}, true, "6.12"},
		{"numa", machine.Machine{Kernel: "6.12", NUMANodes: 1}, false, "1 NUMA node"},
		{"dax", machine.Machine{Kernel: "6.12"}, false, "no NVDIMM"},
		{"map-sync", machine.Machine{Kernel: "6.12"}, false, "no NVDIMM"},
		{"map-sync", machine.Machine{Kernel: "6.12", NVDIMMs: []machine.NVDIMM{{Kind: "raw"}, {Kind: "devdax"}}}, false, "no NVDIMM"},
		{"map-sync", machine.Machine{Kernel: "6.12", NVDIMMs: []machine.NVDIMM{{Kind: "devdax"}, {Kind: "xfs"}}}, true, "6.12"},
		{"eadr", machine.Machine{Kernel: "6.12", Persistence: "cpu_cache"}, false, "no NVDIMM"},
		{"eadr", machine.Machine{Kernel: "6.12", Persistence: "memory_controller", NVDIMMs: []machine.NVDIMM{{Kind: "raw"}}}, false, "memory_controller"},
		{"eadr", machine.Machine{Kernel: "6.12", Persistence: "cpu_cache", NVDIMMs: []machine.NVDIMM{{Kind: "raw"}}}, true, "6.12"},
	}
	for _, tt := range tests {
		f, ok := Find(tt.feature)
		if !ok {
			t.Fatal(tt.feature)
		}
		if got, why := f.Expected(tt.machine); got != tt.want || !strings.Contains(why, tt.why) {
			t.Errorf("%s on %+v: %t, %q; want %t, %q", tt.feature, tt.machine, got, why, tt.want, tt.why)
		}
	}
}

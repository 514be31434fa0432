package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseCPUInfoX86(t *testing.T) {
	info, _, err := parseCPUInfo(strings.NewReader("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: A : B\nmicrocode\t: 0x1\nflags\t\t: fpu pku ospke smap smap\nvmx flags\t: vnmi\npower management:\n\n" +
		"processor\t: 1\nvendor_id\t: Other\nflags\t\t: fpu pku smap la57\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Processors != 2 || info.Vendor != "GenuineIntel" || info.Model != "A : B" || info.Microcode != "0x1" {
		t.Errorf("%+v", info)
	}
	// What only some processors have must not count: a thread may run on the others.
	if !slices.Equal(info.Flags, []string{"fpu", "pku", "smap"}) || !slices.Equal(info.Uneven, []string{"la57", "ospke"}) {
		t.Errorf("flags %v, uneven %v", info.Flags, info.Uneven)
	}
	for _, feature := range info.Features("x86_64") {
		if feature.Words == "" || feature.Present != (feature.Flag == "pku" || feature.Flag == "smap") {
			t.Errorf("%+v", feature)
		}
	}
}

func TestParseCPUInfoARM64(t *testing.T) {
	info, raw, err := parseCPUInfo(strings.NewReader("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd paca bti mte mte3\nCPU implementer\t: 0x41\n\n"))
	if err != nil || !strings.HasPrefix(raw, "Features") {
		t.Fatalf("%q, %v", raw, err)
	}
	present := map[string]bool{}
	for _, feature := range info.Features("aarch64") {
		present[feature.Flag] = feature.Present
	}
	for flag, want := range map[string]bool{"mte": true, "mte3": true, "bti": true, "paca": true, "gcs": false} {
		if present[flag] != want {
			t.Errorf("%s: %v, want %v", flag, present[flag], want)
		}
	}
	if features := info.Features("riscv64"); len(features) != 0 {
		t.Errorf("%v for an architecture that is not known", features)
	}
}

func TestParseCPUInfoMalformed(t *testing.T) {
	for _, text := range []string{"", "x\n", "processor : 0\n", "flags : fpu\n", "processor : 0\nflags : a\nprocessor : 1\n"} {
		if info, _, err := parseCPUInfo(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v; want malformed", text, info, err)
		}
	}
}

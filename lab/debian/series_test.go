package debian

import (
	"slices"
	"strings"
	"testing"
)

var offered = []string{
	"linux-image-6.1.0-47-amd64", "linux-image-6.1.0-50-amd64", "linux-image-6.1.0-50-arm64", "linux-image-6.1.0-50-cloud-amd64",
	"linux-image-6.12.9+deb12-amd64", "linux-image-6.12.90+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64", "linux-image-6.12.90+deb12-rt-amd64",
	"linux-image-7.3.4+deb13-amd64", "linux-image-7.3.4+deb13-amd64-dbg", "linux-image-amd64", "linux-image-7.4.1+deb13-arm64-16k",
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct{ series, arch, want string }{
		{"6.1", "amd64", "6.1.0-50-amd64 6.1.0-47-amd64"},
		{"6.12", "amd64", "6.12.90+deb12.1-amd64 6.12.90+deb12-amd64 6.12.9+deb12-amd64"},
		{Newest, "amd64", "7.3.4+deb13-amd64"},
		{Newest, "arm64", "6.1.0-50-arm64"},
	} {
		found, err := choose(offered, tt.series, tt.arch)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range found {
			names = append(names, r.name)
		}
		if got := strings.Join(names, " "); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %s: %s, want %s first", tt.series, tt.arch, got, tt.want)
		}
	}
	if _, err := choose(offered, "5.10", "amd64"); err == nil || !strings.Contains(err.Error(), "6.1, 6.12, 7.3 and newest") {
		t.Errorf("a series that is not offered: %v", err)
	}
}

func TestParseDepends(t *testing.T) {
	r, ok := parseRelease("linux-image-6.19.14+deb13-amd64")
	if !ok {
		t.Fatal("no release")
	}
	const text = `linux-image-6.19.14+deb13-amd64
  PreDepends: linux-base
 |Depends: dracut
  Depends: <linux-initramfs-tool>
    dracut
  Depends: kmod
  Depends: <linux-base-6.19.14+deb13-amd64>
  Depends: linux-binary-6.19.14+deb13-amd64
  Depends: <linux-modules-6.19.14+deb13-amd64>
`
	parts, missing := parseDepends(text, r)
	if want := []string{"linux-image-6.19.14+deb13-amd64", "linux-binary-6.19.14+deb13-amd64"}; !slices.Equal(parts, want) {
		t.Errorf("parts %v, want %v", parts, want)
	}
	if want := []string{"linux-base-6.19.14+deb13-amd64", "linux-modules-6.19.14+deb13-amd64"}; !slices.Equal(missing, want) {
		t.Errorf("missing %v, want %v", missing, want)
	}
}

func TestParseMirror(t *testing.T) {
	const text = `mirror://elsewhere/|node|main|x|Somebody
mirror://here/security/|bookworm-security|main|oldstable-security|Debian
mirror://here/debian/|bookworm|main|oldstable|Debian
`
	if got, err := parseMirror(text); got != "mirror://here/debian/" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := parseMirror(""); err == nil || !strings.Contains(err.Error(), "apt-get update") {
		t.Errorf("no lists: %v", err)
	}
}

func TestOrder(t *testing.T) {
	depends := map[string][]string{
		"ext4": {"jbd2", "mbcache", "crc16"}, "jbd2": nil, "mbcache": nil, "crc16": nil,
		"nfit": {"libnvdimm"}, "nd_pmem": {"libnvdimm", "nd_btt"}, "nd_btt": {"libnvdimm"}, "libnvdimm": nil,
	}
	got := strings.Join(Order(depends, []string{"built-in", "ext4", "nd-pmem", "nfit"}), " ")
	if want := "jbd2 mbcache crc16 ext4 libnvdimm nd_btt nd_pmem nfit"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// A circle, which no kernel has, must not go on for ever.
	if got := Order(map[string][]string{"a": {"b"}, "b": {"a"}}, []string{"a"}); len(got) != 2 {
		t.Errorf("a circle: %v", got)
	}
}

// A module is a file from a package: whatever it says, there is an answer or an error.
func FuzzParseDependencies(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(_ *testing.T, module []byte) { _, _ = parseDependencies(module) })
}

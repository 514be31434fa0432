package host

import (
	"errors"
	"strings"
	"testing"
)

const configText = `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.18.0 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (GCC) \"15\" \\ 3"
CONFIG_64BIT=y
CONFIG_KVM=m
# CONFIG_KASAN is not set
CONFIG_PHYSICAL_START=0x1000000

# end of General setup
CONFIG_LSM="landlock,lockdown"
CONFIG_EMPTY=""
`

func TestParseConfig(t *testing.T) {
	c, title, err := parseConfig(strings.NewReader(configText))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		"CC_VERSION_TEXT": `gcc (GCC) "15" \ 3`, "64BIT": "y", "KVM": "m", "KASAN": "n",
		"PHYSICAL_START": "0x1000000", "LSM": "landlock,lockdown", "EMPTY": "",
	}
	if len(c) != len(want) {
		t.Errorf("%d symbols, want %d: %v", len(c), len(want), c)
	}
	for symbol, value := range want {
		if got, listed := c[symbol]; got != value || !listed {
			t.Errorf("%s: %q, want %q", symbol, got, value)
		}
	}
	if !c.On("64BIT") || !c.On("KVM") || c.On("KASAN") || c.On("NOT_LISTED") {
		t.Error("On is true for y and m alone")
	}
	for symbol, line := range map[string]string{
		"64BIT": "CONFIG_64BIT=y", "KASAN": "# CONFIG_KASAN is not set", "NOT_LISTED": "CONFIG_NOT_LISTED is not listed",
	} {
		if got := c.Line(symbol); got != line {
			t.Errorf("%q, want %q", got, line)
		}
	}
	if title != "Linux/x86 6.18.0 Kernel Configuration" {
		t.Errorf("title %q", title)
	}
}

func TestParseConfigMalformed(t *testing.T) {
	for _, text := range []string{
		"", "# only comments\n", "CONFIG_A", "CONFIG_A=", "A=y", "CONFIG_=y", "CONFIG_A B=y", `CONFIG_A="x`, `CONFIG_A="x"y`, `CONFIG_A="x\`,
		"CONFIG_A=y\nCONFIG_A=m\n", "CONFIG_A=y\n# CONFIG_A is not set\n", "\x00\x01\x02",
	} {
		if c, _, err := parseConfig(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, c, err)
		}
	}
}

// A configuration that is cut short must not pass for one without the rest.
func TestParseConfigGzipTruncated(t *testing.T) {
	whole := zipped(t, configText)
	if c, _, err := parseConfigGzip(strings.NewReader(whole)); err != nil || !c.On("64BIT") {
		t.Fatalf("%v, %v", c, err)
	}
	for n := range len(whole) {
		if c, _, err := parseConfigGzip(strings.NewReader(whole[:n])); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d of %d bytes: %d symbols, %v; want malformed", n, len(whole), len(c), err)
		}
	}
}

// A small file must not unpack to more than there is memory for.
func TestParseConfigGzipBomb(t *testing.T) {
	bomb := zipped(t, "CONFIG_A=y\n# "+strings.Repeat("x", 4096))
	if _, _, err := parseConfigGzipUpTo(strings.NewReader(bomb), 4096); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, want malformed", err)
	}
}

package host

import (
	"errors"
	"strings"
	"testing"
)

// check compares a parser's outcome: an error must be ErrMalformed.
func check[T comparable](t *testing.T, input string, got T, err error, want T, ok bool) {
	t.Helper()
	switch {
	case ok && (err != nil || got != want):
		t.Errorf("%q: %v, %v; want %v", input, got, err, want)
	case !ok && !errors.Is(err, ErrMalformed):
		t.Errorf("%q: %v, %v; want malformed", input, got, err)
	}
}

func TestParseNumbers(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"0\n", 0, true},
		{"65530\n", 65530, true},
		{"18446744073709551615", 1<<64 - 1, true},
		{"18446744073709551616", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"0x10", 0, false},
		{"1_000", 0, false},
		{"1 2", 0, false},
		{"", 0, false},
		{"1e3", 0, false},
	} {
		got, err := parseUint(test.text)
		check(t, test.text, got, err, test.want, test.ok)
	}
	if n, err := parseKiB("18014398509481983"); n != 18014398509481983<<10 || err != nil {
		t.Errorf("the largest number of KiB: %d, %v", n, err)
	}
	if _, err := parseKiB("18014398509481984"); !errors.Is(err, ErrMalformed) {
		t.Errorf("2^64 bytes: %v, want malformed", err)
	}
}

// A number outside of the documented range has a meaning that is not known here.
func TestParseIntRange(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
		ok   bool
	}{{"0", 0, true}, {"2\n", 2, true}, {"3", 0, false}, {"-1", 0, false}, {"+1", 0, false}, {"two", 0, false}} {
		got, err := parseInt(test.text, 0, 2)
		check(t, test.text, got, err, test.want, test.ok)
	}
}

func TestParseSwitch(t *testing.T) {
	for text, want := range map[string]bool{"Y\n": true, "1": true, "N\n": false, "0": false} {
		got, err := parseSwitch(text)
		check(t, text, got, err, want, true)
	}
	for _, text := range []string{"", "2", "y", "yes", "Y N"} {
		got, err := parseSwitch(text)
		check(t, text, got, err, false, false)
	}
}

func TestParseKernelBool(t *testing.T) {
	for text, want := range map[string]bool{"1": true, "on": true, "ON": true, "y": true, "true": true, "0": false, "off": false, "no": false, "False": false} {
		got, err := parseKernelBool(text)
		check(t, text, got, err, want, true)
	}
	for _, text := range []string{"", "2", "o", "maybe"} {
		got, err := parseKernelBool(text)
		check(t, text, got, err, false, false)
	}
}

func TestParseChoice(t *testing.T) {
	for text, want := range map[string]string{
		"always [madvise] never\n":                   "madvise",
		"[none] integrity confidentiality":           "none",
		"always defer [defer+madvise] madvise never": "defer+madvise",
		"[disabled]": "disabled",
	} {
		got, err := parseChoice(text)
		check(t, text, got.Selected, err, want, true)
		if n := len(strings.Fields(text)); len(got.Options) != n {
			t.Errorf("%q: options %v, want %d", text, got.Options, n)
		}
	}
	for _, text := range []string{"", "always madvise never", "[always] [never]", "[] never", "[always", "always] never", "[[a]]"} {
		got, err := parseChoice(text)
		check(t, text, got.Selected, err, "", false)
	}
}

func TestUnescapeOctal(t *testing.T) {
	for escaped, want := range map[string]string{
		`/swap\040file\040(deleted)`: "/swap file (deleted)", `a\134b`: `a\b`, `a\`: `a\`, `\09x`: `\09x`, `\777`: `\777`, "plain": "plain",
	} {
		if got := unescapeOctal(escaped); got != want {
			t.Errorf("%q: %q, want %q", escaped, got, want)
		}
	}
}

// Lines may have any length, and an error of the reader is not the end of the text.
func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	var lines []string
	err := eachLine(strings.NewReader("a\n"+long+"\nb"), func(line string) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil || len(lines) != 3 || lines[1] != long || lines[2] != "b" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	err = eachLine(&bounded{strings.NewReader("a\nb\nc\n"), 3}, func(string) error { return nil })
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("more than it may give: %v, want malformed", err)
	}
}

package host

import (
	"errors"
	"testing"
)

func TestParseMeminfo(t *testing.T) {
	table, err := parseMeminfo("MemTotal:       24684092 kB\nActive(anon):       1500 kB\nHugePages_Total:       3\nHugepagesize:       2048 kB\n" +
		"Negative:  -1 kB\nNoUnit: 5\nOtherUnit: 5 MB\nHuge: 99999999999999999999 kB\nOverflow: 18014398509481984 kB\nTwice: 1 kB\nTwice: 1 kB\nEmpty:\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"MemTotal": 24684092 << 10, "Active(anon)": 1500 << 10, "HugePages_Total": 3, "Hugepagesize": 2 << 20} {
		if got, err := table.Get(name); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"Negative", "NoUnit", "OtherUnit", "Huge", "Overflow", "Twice", "Empty"} {
		if got, err := table.Get(name); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d, %v; want malformed", name, got, err)
		}
	}
	if _, err := table.Get("CommitLimit"); !errors.Is(err, ErrAbsent) {
		t.Errorf("a line that is not there: %v, want absent", err)
	}
}

func TestParseMeminfoMalformed(t *testing.T) {
	for _, text := range []string{"", "\n", "MemTotal 5 kB\n", ": 5 kB\n"} {
		if table, err := parseMeminfo(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, table, err)
		}
	}
}

func TestParseVMStat(t *testing.T) {
	table, err := parseVMStat("nr_free_pages 6136980\ndirect_map_level2_splits 4\nbad -4\nbad2 1 2\n")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := table.Get("direct_map_level2_splits"); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, name := range []string{"bad", "bad2"} {
		if _, err := table.Get(name); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
	for _, text := range []string{"", "word\n", " 5\n"} {
		if table, err := parseVMStat(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, table, err)
		}
	}
}

func TestParseSwaps(t *testing.T) {
	const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	areas, err := parseSwaps(heading +
		"/dev/dm-1                               partition\t8388604\t\t12\t\t-2\n" +
		"/my\\040swap\\040(deleted)               file\t\t2097148\t\t0\t\t5\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []SwapArea{
		{"/dev/dm-1", "partition", 8388604 << 10, 12 << 10, -2},
		{"/my swap (deleted)", "file", 2097148 << 10, 0, 5},
	}
	if len(areas) != 2 || areas[0] != want[0] || areas[1] != want[1] {
		t.Errorf("%+v, want %+v", areas, want)
	}
	if areas, err := parseSwaps(heading); err != nil || areas == nil || len(areas) != 0 {
		t.Errorf("no area: %v, %v; want an empty list", areas, err)
	}
	for _, text := range []string{"", "\n", "Filename\n", heading + "/swap file 1 2\n", heading + "/s file 1 2 0\n", heading + "/s file -1 0 0\n", heading + "/s file 2 1 x\n"} {
		if areas, err := parseSwaps(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, areas, err)
		}
	}
}

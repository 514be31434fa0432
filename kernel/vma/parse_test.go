package vma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safevma/safevma/kernel/process"
)

const smapsRecord = `7f0000000000-7f0000003000 rw-p 00001000 fe:01 1234                       /tmp/a file
Size:                 12 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                   8 kB
Pss:                   6 kB
Private_Dirty:         8 kB
Locked:                6 kB
THPeligible:           0
ProtectionKey:         3
VmFlags: rd wr mr mw me lo ac 
`

func collect(t *testing.T, text io.Reader, records bool) ([]VMA, error) {
	t.Helper()
	var l list
	var all []VMA
	err := l.each(text, records, func(v *VMA) error {
		all = append(all, v.Clone())
		return nil
	})
	return all, err
}

func TestParseHeader(t *testing.T) {
	tests := []struct {
		line string
		want VMA
	}{
		{"55be7457e000-55be74580000 r--p 00002000 fe:00 247026                     /usr/bin/cat",
			VMA{Start: 0x55be7457e000, End: 0x55be74580000, Perm: PermRead, Offset: 0x2000, Dev: Dev{254, 0}, Inode: 247026, Name: []byte("/usr/bin/cat")}},
		{"00400000-00401000 rwxs 00000000 103:ff 18446744073709551615 /memfd:a b (deleted)",
			VMA{Start: 0x400000, End: 0x401000, Perm: PermRead | PermWrite | PermExec | PermShared, Dev: Dev{0x103, 255}, Inode: 1<<64 - 1, Name: []byte("/memfd:a b (deleted)")}},
		{"7ffd0000-7ffe0000 ---p 00000000 00:00 0 ", VMA{Start: 0x7ffd0000, End: 0x7ffe0000}},
		{"7ffd0000-7ffe0000 ---p 00000000 00:00 0", VMA{Start: 0x7ffd0000, End: 0x7ffe0000}},
		{"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
			VMA{Start: 0xffffffffff600000, End: 0xffffffffff601000, Perm: PermExec, Name: []byte("[vsyscall]")}},
		{"1000-2000 r--p 0 0:1 7 /bytes\xff\xfe and\x1b[31m", VMA{Start: 0x1000, End: 0x2000, Perm: PermRead, Dev: Dev{0, 1}, Inode: 7, Name: []byte("/bytes\xff\xfe and\x1b[31m")}},
	}
	for _, tt := range tests {
		var got VMA
		if n, problem := parseHeader([]byte(tt.line+"\n"), &got); problem != "" || n != len(tt.line) {
			t.Errorf("%q: %d, %q", tt.line, n, problem)
			continue
		}
		if got.Start != tt.want.Start || got.End != tt.want.End || got.Perm != tt.want.Perm || got.Offset != tt.want.Offset ||
			got.Dev != tt.want.Dev || got.Inode != tt.want.Inode || !bytes.Equal(got.Name, tt.want.Name) {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.line, got, tt.want)
		}
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	for _, line := range []string{
		"", "x", "1000", "1000-", "1000-2000", "1000-2000 ", "1000-2000 rw", "1000-2000 rwxp",
		"2000-1000 rwxp 0 0:0 0", "1000-1000 rwxp 0 0:0 0",
		"1000-2000 pwxp 0 0:0 0", "1000-2000 rwx- 0 0:0 0", "1000-2000 rwxx 0 0:0 0", "1000-2000 wr-p 0 0:0 0",
		"1000-2000 rwxp g 0:0 0", "1000-2000 rwxp 0 00 0", "1000-2000 rwxp 0 0:0 x", "1000-2000 rwxp 0 0:0 1x",
		"11111111111111111-2000 rwxp 0 0:0 0", "1000-2000 rwxp 0 0:0 18446744073709551616",
		"1000-2000 rwxp 0 100000000:0 0", "-1000-2000 rwxp 0 0:0 0", "1000-2000\trwxp 0 0:0 0",
	} {
		var v VMA
		if _, problem := parseHeader([]byte(line+"\n"), &v); problem == "" {
			t.Errorf("%q was accepted as %+v", line, v)
		}
	}
}

func TestSmapsRecord(t *testing.T) {
	second := strings.Replace(strings.Replace(smapsRecord, "7f0000000000-7f0000003000", "7f0000003000-7f0000006000", 1), " lo ac", " xx", 1)
	for name, reader := range map[string]io.Reader{
		"whole":       strings.NewReader(smapsRecord + second),
		"byte by bye": iotest.OneByteReader(strings.NewReader(smapsRecord + second)),
		"data+EOF":    iotest.DataErrReader(strings.NewReader(smapsRecord + second)),
	} {
		got, err := collect(t, reader, true)
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: %d VMAs, error %v", name, len(got), err)
		}
		v := got[0]
		if v.Mem.Rss != 8<<10 || v.Mem.Pss != 6<<10 || v.Mem.Locked != 6<<10 || v.Mem.PrivateDirty != 8<<10 || v.Mem.KernelPageSize != 4<<10 || v.Mem.ProtectionKey != 3 {
			t.Errorf("%s: %+v", name, v.Mem)
		}
		if want := FlagRead | FlagWrite | FlagMayRead | FlagMayWrite | FlagMayExec | FlagLocked | FlagAccount; v.Flags != want {
			t.Errorf("%s: flags %s, want %s", name, v.Flags, want)
		}
		if string(v.Raw)+"\n" != smapsRecord {
			t.Errorf("%s: raw %q", name, v.Raw)
		}
		if string(v.Name) != "/tmp/a file" {
			t.Errorf("%s: name %q", name, v.Name)
		}
		if !got[1].Flags.Has(FlagUnknown) || got[1].Flags.Has(FlagLocked) {
			t.Errorf("%s: an unknown code gave %s", name, got[1].Flags)
		}
	}
}

// A record that contradicts itself must not be believed in any part.
func TestSmapsThatLies(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(smapsRecord, old, new, 1) }
	tests := map[string]string{
		"no VmFlags":             smapsRecord[:strings.Index(smapsRecord, "VmFlags")],
		"flags deny the header":  change("rd wr", "rd"),
		"size is not the range":  change("12 kB", "16 kB"),
		"more resident than big": change("Rss:                   8 kB", "Rss:                  16 kB"),
		"more locked than there": change("Locked:                6", "Locked:               12"),
		"negative amount":        change("  8 kB", " -8 kB"),
		"other unit":             change("8 kB\nPss", "8 MB\nPss"),
		"too large":              change("8 kB\nPss", "99999999999999999999 kB\nPss"),
		"field without colon":    change("THPeligible:", "THPeligible "),
		"cut off in a line":      smapsRecord[:len(smapsRecord)-10],
		"goes back":              smapsRecord + smapsRecord,
		"goes back inside":       smapsRecord + strings.Replace(change("7f0000000000-7f0000003000", "7f0000000000-7f0000001000"), "12 kB", "4 kB", 1),
		"no header":              "Size: 4 kB\n",
	}
	for name, text := range tests {
		if _, err := collect(t, strings.NewReader(text), true); !errors.Is(err, process.ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

// Linux lists a VMA that grew downwards meanwhile from below the end of the one
// before.
func TestOverlapIsPossible(t *testing.T) {
	grown := strings.Replace(smapsRecord, "7f0000000000-7f0000003000", "7f0000002000-7f0000005000", 1)
	if got, err := collect(t, strings.NewReader(smapsRecord+grown), true); err != nil || len(got) != 2 {
		t.Errorf("%d VMAs, %v", len(got), err)
	}
}

// A reader that fails is not the end of the list.
func TestReadErrorIsSaid(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(smapsRecord), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := collect(t, broken, true); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want %v", err, io.ErrClosedPipe)
	}
}

func TestLongNames(t *testing.T) {
	name := "/" + strings.Repeat("n", 3*minBuffer)
	line := "1000-2000 r--p 00000000 00:00 1 " + name + "\n"
	got, err := collect(t, strings.NewReader(line), false)
	if err != nil || len(got) != 1 || string(got[0].Name) != name {
		t.Fatalf("%d VMAs, error %v", len(got), err)
	}
}

func TestFlagCodes(t *testing.T) {
	for i, info := range flagInfo[:len(flagInfo)-1] {
		f, ok := ParseFlag(info.code)
		if !ok || f != 1<<i {
			t.Errorf("ParseFlag(%q) = %x, %v", info.code, f, ok)
		}
		if f.String() != info.code || f.Words() != info.words {
			t.Errorf("%s: code %q, words %q", info.code, f.String(), f.Words())
		}
	}
	if FlagUnknown != 1<<(len(flagInfo)-1) {
		t.Error("the table of flags and their constants are apart")
	}
}

func FuzzMaps(f *testing.F) {
	own, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("1000-2000 rwxp 0 0:0 0\n"))
	f.Add([]byte("1000-2000 rwxs 0 ffffffff:0 1 /a\\012b\n"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzList(t, text, false) })
}

func FuzzSmaps(f *testing.F) {
	own, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own[:min(len(own), 4096)])
	flags := bytes.Index(own, []byte("VmFlags: "))
	f.Add(own[:flags+bytes.IndexByte(own[flags:], '\n')+1]) // a whole record
	f.Add([]byte(smapsRecord))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzList(t, text, true) })
}

// fuzzList checks what must hold of whatever is accepted: ranges in order, and the
// raw text in full and in order.
func fuzzList(t *testing.T, text []byte, records bool) {
	var l list
	var last uint64
	var raw []byte
	err := l.each(bytes.NewReader(text), records, func(v *VMA) error {
		if v.End <= last || v.End <= v.Start {
			t.Errorf("%x-%x after %x", v.Start, v.End, last)
		}
		last = v.End
		raw = append(append(raw, v.Raw...), '\n')
		return nil
	})
	if err == nil && !bytes.Equal(raw, text) {
		t.Errorf("accepted %q, but the VMAs make up %q", text, raw)
	}
}

func FuzzRollup(f *testing.F) {
	own, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Fuzz(func(t *testing.T, text []byte) { parseRollup(text) })
}

// An amount means the same in the kernel's columns and out of them, in the kernel's order
// and out of it, among known fields and unknown ones.
func TestAmounts(t *testing.T) {
	var want Mem
	kib := make([]int, len(amounts)) // another one for each
	for i, a := range amounts {
		kib[i] = 10 * (i + 1)
		switch a.key {
		case "Size":
			kib[i] = 1 << 20
		case "Rss":
			kib[i] = 12345678 >> 4
		}
		if a.of != nil {
			*a.of(&want) = uint64(kib[i]) << 10
		}
	}
	for _, format := range []string{"%-16s%8d kB\n", "%s %d kB\n", "%-20s%4d kB\n", "New_%[1]s 1 kB\n%-16[1]s%8[2]d kB\nUnknownToAll:          1 kB\n"} {
		var there, back string
		for i, a := range amounts {
			line := fmt.Sprintf(format, a.key+":", kib[i])
			there, back = there+line, line+back
		}
		for _, fields := range []string{there, back} {
			record := "40000000-80000000 rw-p 00000000 00:00 0 \n" + fields + "VmFlags: rd wr \n"
			got, err := collect(t, strings.NewReader(record+strings.Replace(record, "40000000-80000000", "80000000-c0000000", 1)), true)
			if err != nil || len(got) != 2 || got[0].Mem != want || got[1].Mem != want {
				t.Errorf("%+v, %v\nwant %+v\n%s", got, err, want, record)
			}
		}
	}
}

// What stands in the kernel's columns is held to the same as what does not.
func TestAmountsThatLie(t *testing.T) {
	const sound = "1000-3000 rw-p 00000000 00:00 0 \nSize:                  8 kB\nSwap:                  8 kB\nVmFlags: rd wr \n"
	if _, err := collect(t, strings.NewReader(sound), true); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		"Size:                  7 kB", "Size:                    kB", "Swap:                    kB", "Swap:                8 8 kB",
		"Swap:               8    kB", "Swap:                 -8 kB", "Swap:                 0x kB", "Swap:           99999999999999999999 kB",
	} {
		text := strings.Replace(sound, change[:4]+":                  8 kB", change, 1)
		if got, err := collect(t, strings.NewReader(text), true); !errors.Is(err, process.ErrMalformed) {
			t.Errorf("%q: %+v, %v; want ErrMalformed", change, got, err)
		}
	}
}

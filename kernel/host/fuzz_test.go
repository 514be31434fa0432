package host

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// seed adds the first lines of the running kernel's own text, where it can be read, and
// some more.
func seed(f *testing.F, live string, more ...string) {
	f.Helper()
	if file, err := os.Open(live); err == nil {
		defer file.Close()
		if b, err := io.ReadAll(io.LimitReader(file, 2<<10)); err == nil {
			f.Add(string(b[:bytes.LastIndexByte(b, '\n')+1]))
		}
	}
	for _, text := range more {
		f.Add(text)
	}
}

// failsTyped: a parser refuses text with one of the typed errors, and no other.
func failsTyped(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrAbsent) {
		t.Errorf("untyped error: %v", err)
	}
	return err != nil
}

func FuzzParseNumbers(f *testing.F) {
	seed(f, "/proc/sys/vm/max_map_count", "0", "-1", "18446744073709551616", " 7\n", "Y", "on")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseUint(text)
		if kib, err := parseKiB(text); !failsTyped(t, err) && kib != n<<10 {
			t.Errorf("%q: %d bytes are not %d KiB", text, kib, n)
		}
		failsTyped(t, err)
		if n, err := parseInt(text, -1, 3); !failsTyped(t, err) && (n < -1 || n > 3) {
			t.Errorf("%q: %d is out of range", text, n)
		}
		_, err = parseSwitch(text)
		failsTyped(t, err)
		_, err = parseKernelBool(text)
		failsTyped(t, err)
		_, err = parseBootID(text)
		failsTyped(t, err)
		_, err = parseCorePattern(text)
		failsTyped(t, err)
		unescapeOctal(text)
	})
}

func FuzzParseChoice(f *testing.F) {
	seed(f, "/sys/kernel/mm/transparent_hugepage/enabled", "[none] integrity confidentiality\n", "a [b] [c]", "[", "[]")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseLockdown(text)
		failsTyped(t, err)
		c, err := parseChoice(text)
		if failsTyped(t, err) {
			return
		}
		if !slices.Contains(c.Options, c.Selected) || len(c.Options) != len(strings.Fields(text)) {
			t.Errorf("%q: %+v", text, c)
		}
	})
}

func FuzzParseTables(f *testing.F) {
	seed(f, "/proc/meminfo", "A: 1 kB\nA: 1 kB\nA: 1 kB\n", "HugePages_Total: 1\n", "x -1\n")
	seed(f, "/proc/vmstat")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (Table, error){parseMeminfo, parseVMStat} {
			table, err := parse(text)
			if failsTyped(t, err) {
				continue
			}
			for name := range table.Bad {
				if n, err := table.Get(name); err == nil {
					t.Errorf("%q: bad %q is %d", text, name, n)
				}
			}
			if lines := strings.Count(text, "\n") + 1; len(table.Numbers)+len(table.Bad) > lines {
				t.Errorf("%q: more names than lines: %v", text, table)
			}
		}
	})
}

func FuzzParseSwaps(f *testing.F) {
	seed(f, "/proc/swaps", "Filename Type Size Used Priority\n/a\\040b file 2 1 -2\n")
	f.Fuzz(func(t *testing.T, text string) {
		areas, err := parseSwaps(text)
		if failsTyped(t, err) {
			return
		}
		for _, area := range areas {
			if area.Used > area.Size || area.Name == "" {
				t.Errorf("%q: %+v", text, area)
			}
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add(configText)
	f.Add("CONFIG_A=\"\\\"\n")
	f.Add("# CONFIG_A is not set\nCONFIG_A=n\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := parseConfig(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		for symbol := range c {
			if !strings.Contains(text, symbol) || !isSymbol(symbol) {
				t.Errorf("%q: symbol %q", text, symbol)
			}
		}
	})
}

func FuzzParseConfigGzip(f *testing.F) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(configText))
	z.Close()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()/2])
	if live, err := os.ReadFile("/proc/config.gz"); err == nil {
		f.Add(live)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		c, _, err := parseConfigGzipUpTo(bytes.NewReader(packed), 1<<20)
		if !failsTyped(t, err) && len(c) == 0 {
			t.Errorf("%q: an empty configuration", packed)
		}
	})
}

func FuzzParseCmdline(f *testing.F) {
	seed(f, "/proc/cmdline", `a="b c" "d=e f" -- g`, `"`, "=", "a\"b c\"d=e", "\xa0")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCmdline(text)
		if failsTyped(t, err) {
			return
		}
		for _, p := range c.Params {
			if _, found := c.Lookup(p.Key); !found {
				t.Errorf("%q: %q is not found", text, p.Key)
			}
			if !strings.Contains(text, p.Key) || !strings.Contains(text, p.Value) {
				t.Errorf("%q: %+v is not in it", text, p)
			}
		}
	})
}

func FuzzParseIomem(f *testing.F) {
	seed(f, "/proc/iomem", iomemText, "0-0 : System RAM\n", "0-ffffffffffffffff : System RAM\n")
	f.Fuzz(func(t *testing.T, text string) {
		ranges, _, err := parseIomem(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		ram, _, err := systemRAM(ranges)
		if failsTyped(t, err) {
			return
		}
		for _, r := range ram.Ranges {
			if r.Size() == 0 || r.Size() > ram.Bytes {
				t.Errorf("%q: %+v in %d bytes", text, r, ram.Bytes)
			}
		}
		_, _, err = kernelImage(ranges)
		failsTyped(t, err)
	})
}

func FuzzParseVmalloc(f *testing.F) {
	seed(f, "/proc/vmallocinfo", vmallocText)
	f.Fuzz(func(t *testing.T, text string) {
		v, _, err := parseVmalloc(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		var sum VmallocUse
		for use, areas := range v.Uses {
			if use != "unpurged" {
				sum.Areas += areas.Areas
				sum.Bytes += areas.Bytes
			}
		}
		if sum.Areas != v.Areas || sum.Bytes != v.Bytes || len(v.Callers) > callersMax {
			t.Errorf("%q: %+v sums up to %+v", text, v, sum)
		}
	})
}

func FuzzParseZoneinfo(f *testing.F) {
	seed(f, "/proc/zoneinfo", zoneinfoText)
	f.Fuzz(func(t *testing.T, text string) {
		zones, _, err := parseZoneinfo(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		for _, z := range zones {
			if z.Managed > z.Present || z.Present > z.Spanned || z.Name == "" || z.Node < 0 {
				t.Errorf("%q: %+v", text, z)
			}
		}
	})
}

func FuzzParsePageTables(f *testing.F) {
	seed(f, "/sys/kernel/debug/page_tables/kernel", pageTablesText)
	f.Fuzz(func(t *testing.T, text string) {
		areas, _, err := parsePageTables(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		for _, area := range areas {
			if area.WritableExecutable > area.Mapped {
				t.Errorf("%q: %+v", text, area)
			}
		}
	})
}

func FuzzParseTextAddress(f *testing.F) {
	seed(f, "", "ffffffff81000000 T _text\n", "0 A x\n0 T _text\n", "zz T _text")
	f.Fuzz(func(t *testing.T, text string) {
		address, _, err := parseTextAddress(strings.NewReader(text))
		if !failsTyped(t, err) && address == 0 {
			t.Errorf("%q: the address is zero", text)
		}
	})
}

func FuzzParseCPUInfo(f *testing.F) {
	seed(f, "/proc/cpuinfo", "processor : 0\nFeatures : mte bti\n")
	f.Fuzz(func(t *testing.T, text string) {
		info, _, err := parseCPUInfo(strings.NewReader(text))
		if failsTyped(t, err) {
			return
		}
		for _, flag := range info.Flags {
			if !info.Has(flag) || slices.Contains(info.Uneven, flag) {
				t.Errorf("%q: %q in %+v", text, flag, info)
			}
		}
	})
}

func FuzzParseMountinfo(f *testing.F) {
	seed(f, "/proc/self/mountinfo", "24 27 0:6 / /a\\040b rw - tracefs tracefs rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseMountinfo(text)
		if !failsTyped(t, err) && len(mounts) > strings.Count(text, "\n")+1 {
			t.Errorf("%q: %d mounts", text, len(mounts))
		}
	})
}

func FuzzParseProbeEvents(f *testing.F) {
	seed(f, "", "p:uprobes/read /bin/cat:0x0000000000001040 secret=+0(%di):x64\n", "r10:kprobes/open do_sys_openat2\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseLSMs(text)
		failsTyped(t, err)
		events, err := parseProbeEvents(text)
		if failsTyped(t, err) {
			return
		}
		for _, e := range events {
			if e.Group == "" || e.Name == "" || e.Target == "" || e.Kind != "entry" && e.Kind != "return" {
				t.Errorf("%q: %+v", text, e)
			}
		}
	})
}

func FuzzParseModules(f *testing.F) {
	seed(f, "/proc/modules", "nfs 12288 2 nfsv3,nfsv4, Live 0x0000000000000000\n", "x\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, _, err := parseModules(strings.NewReader(text))
		if !failsTyped(t, err) && m.Count == 0 && m.Bytes > 0 {
			t.Errorf("%q: %+v", text, m)
		}
		perms, _, err := parseVsyscall(strings.NewReader(text))
		if !failsTyped(t, err) && perms == "" {
			t.Errorf("%q: no permissions", text)
		}
	})
}

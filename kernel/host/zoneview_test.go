package host

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

func TestParseModules(t *testing.T) {
	m, _, err := parseModules(strings.NewReader("nfs 12288 2 nfsv3,nfsv4, Live 0x0000000000000000\nx 4096 0 - Live 0xffffffffc0000000 (OE)\n"))
	if err != nil || m != (Modules{2, 16384}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"nfs\n", "nfs x 2\n", "a 18446744073709551615 0\nb 1 0\n"} {
		if _, _, err := parseModules(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseVsyscall(t *testing.T) {
	for text, want := range map[string]string{
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n": "--xp",
		"7ff0-8000 r--p 00000000 00:00 0 [vvar]\n":                                              "none",
		"": "none",
	} {
		if got, _, err := parseVsyscall(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func way(t *testing.T, zones []ZoneView, zone, name string) ZoneWay {
	t.Helper()
	for _, z := range zones {
		for _, w := range z.Ways {
			if z.Name == zone && strings.Contains(w.Name, name) {
				return w
			}
		}
	}
	t.Fatalf("%s can't be read by %s at all", zone, name)
	return ZoneWay{}
}

// What can be read follows from what was tried, the configuration and the lockdown mode;
// what is not known stays so.
func TestZoneViews(t *testing.T) {
	read := func(lockdown Value[Choice], config Config, mem Value[bool]) []ZoneView {
		f := &Facts{}
		f.Security.Lockdown, f.LastReaders.Mem.Opens = lockdown, mem
		f.Kernel.Config = known(config, guarantee.Read, "config", "")
		return New(t.TempDir(), t.TempDir()).ZoneViews(f)
	}
	mode := func(name string) Value[Choice] {
		return known(Choice{Selected: name}, guarantee.Read, "lockdown", name)
	}
	yes, no := known(true, guarantee.Probe, "open", "opened"), known(false, guarantee.Probe, "open", "ENOENT")
	on := Config{"BPF_SYSCALL": "y", "KPROBES": "y", "STRICT_DEVMEM": "y"}

	open := read(mode("integrity"), on, yes)
	if w := way(t, open, "linear map", "BPF"); !w.Open.Known() || !w.Open.V || w.Open.Method != guarantee.Inference {
		t.Errorf("BPF with lockdown=integrity: %+v", w.Open)
	}
	if w := way(t, open, "linear map", "/dev/mem"); !w.Open.Known() || w.Open.V {
		t.Errorf("/dev/mem opens, strict: %+v", w.Open)
	}
	if w := way(t, read(mode("none"), Config{}, yes), "linear map", "/dev/mem"); !w.Open.Known() || !w.Open.V {
		t.Errorf("/dev/mem opens, not strict: %+v", w.Open)
	}
	closed := read(mode("confidentiality"), on, no)
	for _, name := range []string{"BPF", "kprobes", "/dev/mem"} {
		if w := way(t, closed, "linear map", name); !w.Open.Known() || w.Open.V {
			t.Errorf("%s with lockdown=confidentiality: %+v", name, w.Open)
		}
	}
	hidden := unknown[Choice](guarantee.Read, "lockdown", "", ErrDenied)
	if w := way(t, read(hidden, on, no), "vmalloc", "BPF"); w.Open.Known() {
		t.Errorf("BPF with a lockdown mode that is hidden: %+v", w.Open)
	}
	absent := unknown[Choice](guarantee.Read, "lockdown", "", ErrAbsent)
	if w := way(t, read(absent, on, no), "vmalloc", "BPF"); !w.Open.Known() || !w.Open.V {
		t.Errorf("BPF on a kernel without lockdown: %+v", w.Open)
	}
	if w := way(t, open, "linear map", "kcore"); w.Open.Known() {
		t.Errorf("kcore was not tried: %+v", w.Open)
	}
}

func TestZoneSources(t *testing.T) {
	r := tree(t, map[string]string{"proc/meminfo": "", "proc/vmallocinfo": ""})
	zones := r.ZoneViews(&Facts{})
	i := slices.IndexFunc(zones, func(z ZoneView) bool { return z.Name == "linear map" })
	if by := zones[i].Views[0].By; by != "everybody" {
		t.Error(by)
	}
	if by := zones[i].Views[1].By; by != "absent" {
		t.Error(by)
	}
}

// On this kernel each zone says something.
func TestLiveZoneViews(t *testing.T) {
	r := New("", "")
	f, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range r.ZoneViews(f) {
		if len(z.Views) == 0 || len(z.Ways) == 0 || z.What == "" {
			t.Errorf("%+v", z)
		}
		for _, w := range z.Ways {
			if !w.Open.Known() && w.Open.Err == nil {
				t.Errorf("%s, %s: neither known nor why not", z.Name, w.Name)
			}
		}
	}
}

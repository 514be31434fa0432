package host

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// kernelFacts makes the facts of a kernel from its configuration and command line.
func kernelFacts(t *testing.T, config Config, cmdline string) Kernel {
	t.Helper()
	c, err := parseCmdline(cmdline)
	if err != nil {
		t.Fatal(err)
	}
	return Kernel{
		Uname:   known(Uname{Machine: "x86_64"}, guarantee.Read, "uname(2)", ""),
		Config:  known(config, guarantee.Read, "config.gz", ""),
		Cmdline: known(c, guarantee.Read, "cmdline", ""),
	}
}

// What is inferred is marked so, and is the least that is forced.
func TestLockdownFloor(t *testing.T) {
	early := Config{"SECURITY_LOCKDOWN_LSM": "y", "SECURITY_LOCKDOWN_LSM_EARLY": "y", "LSM": "landlock"}
	with := func(base Config, symbol string) Config {
		c := Config{symbol: "y"}
		for k, v := range base {
			c[k] = v
		}
		return c
	}
	for _, test := range []struct {
		config        Config
		cmdline, want string
	}{
		{Config{}, "lockdown=integrity", "none"},
		{early, "", "none"},
		{early, "lockdown=confidentiality", "confidentiality"},
		{early, "lockdown=nonsense", "none"},
		{with(early, "LOCK_DOWN_KERNEL_FORCE_INTEGRITY"), "", "integrity"},
		{with(early, "LOCK_DOWN_KERNEL_FORCE_INTEGRITY"), "lockdown=none", "integrity"},
		{with(early, "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"), "lockdown=integrity", "confidentiality"},
		{Config{"SECURITY_LOCKDOWN_LSM": "y", "LSM": "lockdown,yama"}, "lockdown=integrity", "integrity"},
		{Config{"SECURITY_LOCKDOWN_LSM": "y", "LSM": "lockdown,yama"}, "lockdown=integrity lsm=yama", "none"},
		{Config{"SECURITY_LOCKDOWN_LSM": "y", "LSM": "yama"}, "lockdown=integrity", "none"},
	} {
		k := kernelFacts(t, test.config, test.cmdline)
		got := lockdownFloor(k.Config, k.Cmdline)
		if !got.Known() || got.V != test.want || got.Method != guarantee.Inference {
			t.Errorf("%v %q: %+v, want %s by inference", test.config, test.cmdline, got, test.want)
		}
	}
	if got := lockdownFloor(known(early, guarantee.Read, "", ""), Value[Cmdline]{}); got.Known() {
		t.Errorf("without the command line: %+v, want unknown", got)
	}
}

func TestParseLockdown(t *testing.T) {
	if c, err := parseLockdown("none [integrity] confidentiality\n"); err != nil || c.Selected != "integrity" {
		t.Errorf("%v, %v", c, err)
	}
	for _, text := range []string{"", "none integrity", "none [total]"} {
		if c, err := parseLockdown(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, c, err)
		}
	}
}

func TestParseLSMs(t *testing.T) {
	if names, err := parseLSMs("lockdown,capability,bpf"); err != nil || !slices.Equal(names, []string{"lockdown", "capability", "bpf"}) {
		t.Errorf("%v, %v", names, err)
	}
	for _, text := range []string{"", "a,,b", "a b"} {
		if names, err := parseLSMs(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, names, err)
		}
	}
}

func TestProcMemOverride(t *testing.T) {
	for _, test := range []struct {
		symbol, cmdline, want string
	}{
		{"PROC_MEM_ALWAYS_FORCE", "", "always"},
		{"PROC_MEM_FORCE_PTRACE", "", "ptrace"},
		{"PROC_MEM_NO_FORCE", "", "never"},
		{"PROC_MEM_ALWAYS_FORCE", "proc_mem.force_override=never", "never"},
		{"PROC_MEM_NO_FORCE", "proc_mem.force_override=always", "always"},
		{"PROC_MEM_NO_FORCE", "proc_mem.force_override=nonsense", "never"},
		{"SOMETHING", "proc_mem.force_override=never", "always"}, // before 6.12 the parameter did nothing
	} {
		k := kernelFacts(t, Config{test.symbol: "y"}, test.cmdline)
		got := procMemOverride(k.Config, k.Cmdline)
		if !got.Known() || got.V != test.want || got.Method != guarantee.Inference {
			t.Errorf("%s %q: %+v, want %s by inference", test.symbol, test.cmdline, got, test.want)
		}
	}
}

func TestParseProbeEvents(t *testing.T) {
	events, err := parseProbeEvents("p:uprobes/read /bin/cat:0x0000000000001040 secret=+0(%di):x64 n=%si\nr10:kprobes/open do_sys_openat2 $retval\n")
	want := []ProbeEvent{
		{"entry", "uprobes", "read", "/bin/cat:0x0000000000001040", []string{"secret=+0(%di):x64", "n=%si"}},
		{"return", "kprobes", "open", "do_sys_openat2", []string{"$retval"}},
	}
	if err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("%+v, %v; want %+v", events, err, want)
	}
	if events, err := parseProbeEvents(""); err != nil || events == nil || len(events) != 0 {
		t.Errorf("no probe: %v, %v; want an empty list", events, err)
	}
	for _, text := range []string{"\n", "p:uprobes/read\n", "p x\n", "x:a/b c\n", ":a/b c\n", "p:/b c\n", "p:a/ c\n"} {
		if events, err := parseProbeEvents(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, events, err)
		}
	}
}

func TestParseMountinfo(t *testing.T) {
	mounts, err := parseMountinfo("24 27 0:6 / /dev rw,relatime shared:2 master:1 - devtmpfs devtmpfs rw\n" +
		"25 27 0:7 /sub /mnt/with\\040space rw - tracefs none rw,gid=5\n")
	want := []mount{{"/", "/dev", "devtmpfs"}, {"/sub", "/mnt/with space", "tracefs"}}
	if err != nil || !slices.Equal(mounts, want) {
		t.Errorf("%v, %v; want %v", mounts, err, want)
	}
	for _, text := range []string{"\n", "24 27 0:6 / /dev rw\n", "24 27 0:6 / /dev rw -\n", "- - - - - - a b\n"} {
		if mounts, err := parseMountinfo(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, mounts, err)
		}
	}
}

func TestParseCorePattern(t *testing.T) {
	for text, want := range map[string]CorePattern{
		"core\n": {"core", "file"}, "|/usr/lib/x %P\n": {"|/usr/lib/x %P", "pipe"}, "@/run/x.sock\n": {"@/run/x.sock", "socket"}, "\n": {"", "file"},
	} {
		got, err := parseCorePattern(text)
		check(t, text, got, err, want, true)
	}
	got, err := parseCorePattern("a\nb\n")
	check(t, "two lines", got, err, CorePattern{}, false)
}

// Each type of the kernel's list has a name; one that is newer is said to be unknown,
// and not to be harmless.
func TestBPFTypes(t *testing.T) {
	for number, want := range map[uint32]string{1: "socket_filter", 2: "kprobe", 17: "raw_tracepoint", 26: "tracing", 29: "lsm", 31: "syscall", 32: "netfilter"} {
		if got, _ := bpfType(number); got != want {
			t.Errorf("type %d: %s, want %s", number, got, want)
		}
	}
	if _, reach := bpfType(2); reach != ReachTraced {
		t.Errorf("kprobe: %s", reach)
	}
	if name, reach := bpfType(99); name != "type 99" || reach != ReachUnknown {
		t.Errorf("%s, %s", name, reach)
	}
}

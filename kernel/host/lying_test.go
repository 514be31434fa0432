package host

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// A file that lies, or makes no sense, makes its facts unknown, with the file named; a
// number out of it never comes through.
func TestLyingFiles(t *testing.T) {
	const meminfo, vmstat = "proc/meminfo", "proc/vmstat"
	whole := zipped(t, configText)
	for _, test := range []struct {
		name, path, content, fact string
	}{
		{"negative size", meminfo, "CommitLimit: -5 kB\n", "commit.limit"},
		{"missing unit", meminfo, "CommitLimit: 5\n", "commit.limit"},
		{"other unit", meminfo, "CommitLimit: 5 MB\n", "commit.limit"},
		{"overflow", meminfo, "Committed_AS: 18446744073709551616 kB\n", "commit.committed"},
		{"overflow of the unit", meminfo, "Committed_AS: 18446744073709551615 kB\n", "commit.committed"},
		{"duplicate key", meminfo, "CommitLimit: 5 kB\nCommitLimit: 5 kB\n", "commit.limit"},
		{"empty", meminfo, "", "memory.info"},
		{"binary", meminfo, "\x00\xff\xfe", "memory.info"},
		{"bad direct map", meminfo, "DirectMap4k: x kB\nDirectMap2M: 1 kB\n", "zones.direct_map"},
		{"negative splits", vmstat, "direct_map_level2_splits -1\n", "zones.direct_map_splits"},
		{"more pages than there can be", vmstat, "nr_memmap_pages 18446744073709551615\nnr_memmap_boot_pages 1\n", "zones.vmemmap"},
		{"policy of a newer kernel", "proc/sys/vm/overcommit_memory", "3\n", "commit.mode"},
		{"negative policy", "proc/sys/vm/overcommit_memory", "-1\n", "commit.mode"},
		{"negative reserve", "proc/sys/vm/user_reserve_kbytes", "-1\n", "commit.user_reserve"},
		{"two numbers", "proc/sys/vm/max_map_count", "1 2\n", "sysctl.vm.max_map_count"},
		{"text", "proc/sys/vm/memfd_noexec", "on\n", "sysctl.vm.memfd_noexec"},
		{"empty sysctl", "proc/sys/kernel/kptr_restrict", "", "sysctl.kernel.kptr_restrict"},
		{"out of range", "proc/sys/kernel/yama/ptrace_scope", "4\n", "sysctl.kernel.yama.ptrace_scope"},
		{"two lines", "proc/sys/kernel/core_pattern", "core\n|/bin/x\n", "sysctl.kernel.core_pattern"},
		{"swap without heading", "proc/swaps", "/swap file 1 1 0\n", "swap.areas"},
		{"more swap used than there is", "proc/swaps", "Filename Type Size Used Priority\n/swap file 1 2 0\n", "swap.areas"},
		{"bracketless choice", "sys/kernel/mm/transparent_hugepage/enabled", "always madvise never\n", "hugepages.thp.enabled"},
		{"two choices", "sys/kernel/mm/transparent_hugepage/defrag", "[always] [never]\n", "hugepages.thp.defrag"},
		{"pool of no size", "sys/kernel/mm/hugepages/hugepages-xkB/nr_hugepages", "1\n", "hugepages.pools"},
		{"negative pages", "sys/kernel/mm/ksm/pages_shared", "-1\n", "ksm.pages_shared"},
		{"run mode of a newer kernel", "sys/kernel/mm/ksm/run", "3\n", "ksm.run"},
		{"unknown lockdown mode", "sys/kernel/security/lockdown", "none [everything]\n", "security.lockdown"},
		{"empty list of modules", "sys/kernel/security/lsm", "", "security.lsms"},
		{"bad probe", "sys/kernel/tracing/uprobe_events", "what\n", "last_readers.uprobes"},
		{"neither Y nor N", "sys/module/secretmem/parameters/enable", "maybe\n", "secret_memory.parameter"},
		{"hibernation without a choice", "sys/power/disk", "platform shutdown\n", "secret_memory.hibernation_mode"},
		{"memory that ends before it begins", "proc/iomem", "2000-1000 : System RAM\n", "zones.system_ram"},
		{"no memory at all", "proc/iomem", "1000-2000 : PCI\n", "zones.system_ram"},
		{"bad area", "proc/vmallocinfo", "what\n", "zones.vmalloc"},
		{"zone that is larger than its span", "proc/zoneinfo", "Node 0, zone X\n  spanned 1\n  present 2\n  managed 1\n", "zones.zoneinfo"},
		{"bad address", "proc/kallsyms", "zz T _text\n", "zones.text_address"},
		{"bad dump", "sys/kernel/debug/kernel_page_tables", "what\n", "zones.page_tables"},
		{"processor without flags", "proc/cpuinfo", "processor : 0\n", "cpu.info"},
		{"boot id", "proc/sys/kernel/random/boot_id", "1234\n", "kernel.boot_id"},
		{"truncated gzip", "proc/config.gz", whole[:len(whole)-9], "kernel.config"},
		{"not gzip", "proc/config.gz", configText, "kernel.config"},
		{"zero byte", "proc/cmdline", "a\x00b\n", "kernel.cmdline"},
		{"bad count", "sys/devices/system/edac/mc/mc0/ce_count", "-1\n", "hardware.memory_controllers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{test.path: test.content}
			if filepath.Base(test.path) == "ce_count" {
				files[filepath.Dir(test.path)+"/mc_name"] = "driver\n"
			}
			r := tree(t, files)
			_, facts := readAll(t, r)
			fact, ok := facts[test.fact]
			if !ok {
				t.Fatalf("no fact %s", test.fact)
			}
			if fact.Value != nil || ReasonOf(fact.Err) != Malformed {
				t.Errorf("%s = %v, %v; want unknown, malformed", test.fact, fact.Value, fact.Err)
			}
			if fact.Source == "" {
				t.Error("no source")
			}
		})
	}
}

// What is not a regular file does not block the reading, and is not read.
func TestNotAFile(t *testing.T) {
	r := tree(t, map[string]string{"proc/x": ""})
	if err := syscall.Mkfifo(filepath.Join(r.Proc, "meminfo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(r.Proc, "swaps")); err != nil {
		t.Fatal(err)
	}
	_, facts := readAll(t, r)
	for _, name := range []string{"memory.info", "swap.areas"} {
		if fact := facts[name]; fact.Value != nil || ReasonOf(fact.Err) != Malformed {
			t.Errorf("%s = %v, %v; want malformed", name, fact.Value, fact.Err)
		}
	}
}

// In a tree that is not the running kernel's, nothing is tried, and no system call of
// the running kernel answers in its place: everything is unknown, with a reason.
func TestEmptyTree(t *testing.T) {
	f, facts := readAll(t, tree(t, nil))
	for name, fact := range facts {
		switch reason := ReasonOf(fact.Err); {
		case fact.Value != nil && fact.Method == guarantee.Read && (name == "last_readers.dev_mem.node" || name == "last_readers.dev_kmem.node" || name == "last_readers.dev_port.node"):
			// The device directory has no such node: that is known.
		case fact.Value != nil:
			t.Errorf("%s = %v", name, fact.Value)
		case reason != Absent && reason != NotLive:
			t.Errorf("%s: %s (%v)", name, reason, fact.Err)
		}
	}
	for _, h := range f.Hardening {
		if h.On.Known() {
			t.Errorf("%s is %v", h.ID, h.On.V)
		}
	}
	if want := (guarantee.Host{Name: "unknown", Kernel: "unknown", Version: "unknown", Machine: "unknown", BootID: "unknown"}); f.Identity() != want {
		t.Errorf("identity %+v", f.Identity())
	}
}

// A tree that was copied from another host says what it says.
func TestCopiedTree(t *testing.T) {
	f, _ := readAll(t, tree(t, map[string]string{
		"proc/sys/kernel/ostype": "Linux\n", "proc/sys/kernel/hostname": "ecu\x1b7\n", "proc/sys/kernel/osrelease": "6.1.0-x\n",
		"proc/sys/kernel/version": "#1 SMP\n", "proc/sys/kernel/arch": "aarch64\n",
		"proc/sys/kernel/random/boot_id": "c1229ecb-425b-4e85-b2e6-517bc88f90ad\n",
		"boot/config-6.1.0-x":            "CONFIG_DEBUG_LIST=y\n",
		"proc/cmdline":                   "init_on_alloc=1\n",
		"proc/meminfo":                   "MemTotal: 8 kB\nCommitLimit: 4 kB\nDirectMap4k: 2 kB\n",
	}))
	want := guarantee.Host{Name: `ecu\x1b7`, Kernel: "6.1.0-x", Version: "#1 SMP", Machine: "aarch64", BootID: "c1229ecb-425b-4e85-b2e6-517bc88f90ad"}
	if got := f.Identity(); got != want {
		t.Errorf("identity %+v, want %+v", got, want)
	}
	if f.Commit.Limit.V != 4096 || f.Commit.Limit.Raw != "CommitLimit: 4 kB" {
		t.Errorf("limit %+v", f.Commit.Limit)
	}
	// A file that only has the name of the release is weaker than the kernel's own.
	if c := f.Kernel.Config; !c.Known() || c.Method != guarantee.Inference {
		t.Errorf("config %+v", c)
	}
	on := map[string]Value[bool]{}
	for _, h := range f.Hardening {
		on[h.ID] = h.On
	}
	if v := on["LIST_HARDENED"]; !v.Known() || !v.V || v.Raw != "CONFIG_DEBUG_LIST=y" {
		t.Errorf("LIST_HARDENED %+v", v)
	}
	if v := on["INIT_ON_ALLOC"]; !v.Known() || !v.V || v.Raw != "init_on_alloc=1" {
		t.Errorf("INIT_ON_ALLOC %+v", v)
	}
	if v, ok := on["X86_SMAP"]; ok {
		t.Errorf("X86_SMAP on arm64: %+v", v)
	}
	// The processor is not known, but the kernel was built without: that decides.
	if v, ok := on["ARM64_MTE"]; !ok || !v.Known() || v.V {
		t.Errorf("ARM64_MTE without cpuinfo: %+v", v)
	}
}

// The release names a file: one that is a path must not lead out of the directories.
func TestReleaseStaysInside(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/sys/kernel/ostype": "Linux\n", "proc/sys/kernel/hostname": "h\n", "proc/sys/kernel/osrelease": "../secret\n",
		"proc/sys/kernel/version": "v\n", "secret/config": "CONFIG_A=y\n",
	})
	if f, _ := readAll(t, r); f.Kernel.Config.Known() {
		t.Errorf("%+v", f.Kernel.Config)
	}
}

// The kernel's configuration is looked for in several places; what cannot be read in
// one is looked for in the next.
func TestConfigPlaces(t *testing.T) {
	release := map[string]string{
		"proc/sys/kernel/ostype": "Linux\n", "proc/sys/kernel/hostname": "h\n", "proc/sys/kernel/osrelease": "6.1\n", "proc/sys/kernel/version": "v\n",
	}
	for _, path := range []string{"boot/config-6.1", "modules/6.1/config", "modules/6.1/build/.config"} {
		files := map[string]string{path: "CONFIG_A=y\n"}
		for name, content := range release {
			files[name] = content
		}
		r := tree(t, files)
		f, _ := readAll(t, r)
		if c := f.Kernel.Config; !c.Known() || !c.V.On("A") || filepath.Base(c.Source) != filepath.Base(path) {
			t.Errorf("%s: %+v", path, c)
		}
	}
}

// What stands in the place of a device is not opened, and is not taken for it.
func TestNotADevice(t *testing.T) {
	files := map[string]string{"dev/mem": "secret", "sys/class/mem/mem/dev": "1:1\n", "proc/meminfo": "MemTotal: 1 kB\n"}
	r := tree(t, files)
	if err := os.Mkdir(filepath.Join(r.Proc, "kcore"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &session{Reader: r, live: true, privileged: true} // as if it were the running kernel
	if d := s.device("mem", 1, Value[Choice]{}); ReasonOf(d.Opens.Err) != Malformed || !d.Node.V || !d.Driver.V {
		t.Errorf("mem %+v", d)
	}
	if d := s.kcore(Value[Choice]{}); ReasonOf(d.Opens.Err) != Malformed || d.Driver.Known() {
		t.Errorf("kcore %+v", d)
	}
}

// A proc file system that shows processes alone hides kcore: that is not its absence.
func TestKcoreHidden(t *testing.T) {
	_, facts := readAll(t, tree(t, map[string]string{"proc/1/status": ""}))
	if fact := facts["last_readers.kcore.node"]; fact.Value != nil {
		t.Errorf("%+v", fact)
	}
	_, facts = readAll(t, tree(t, map[string]string{"proc/meminfo": "MemTotal: 1 kB\n"}))
	if fact := facts["last_readers.kcore.node"]; fact.Value != false {
		t.Errorf("%+v", fact)
	}
}

// When the context ends, what was not reached is unknown, and the error says so.
func TestReadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, err := New("", "").Read(ctx)
	if err == nil {
		t.Error("no error")
	}
	for fact := range f.All() {
		if fact.Value != nil || ReasonOf(fact.Err) != NotRead {
			t.Errorf("%s = %v, %v; want not read", fact.Name, fact.Value, fact.Err)
		}
	}
}

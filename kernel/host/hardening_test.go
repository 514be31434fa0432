package host

import (
	"slices"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// The table is complete: ids are unique, each entry says what, why and by whom, and the
// four ratings of the safety working group are theirs.
func TestHardeningTable(t *testing.T) {
	seen := map[string]bool{}
	ratings := []Rating{None, VeryLittle, Some, High}
	elisa := map[string][2]Rating{
		"LIST_HARDENED": {Some, High}, "SLAB_FREELIST_RANDOM": {VeryLittle, Some},
		"SLAB_FREELIST_HARDENED": {Some, High}, "RANDOMIZE_BASE": {VeryLittle, Some},
	}
	for _, it := range slices.Concat(heapItems, detectionItems, layoutItems, accessItems, hardwareItems) {
		if seen[it.id] {
			t.Errorf("%s comes twice", it.id)
		}
		seen[it.id] = true
		if it.what == "" || it.why == "" || it.reference == "" || it.on == nil || !slices.Contains(ratings, it.accidental) || !slices.Contains(ratings, it.attack) {
			t.Errorf("%s is not complete", it.id)
		}
		if want, theirs := elisa[it.id]; theirs != (it.ratedBy == ratedByELISA) || theirs && want != [2]Rating{it.accidental, it.attack} {
			t.Errorf("%s is rated %s, %s by %q", it.id, it.accidental, it.attack, it.ratedBy)
		}
	}
	for _, id := range []string{
		"LIST_HARDENED", "SLAB_FREELIST_HARDENED", "SLAB_FREELIST_RANDOM", "RANDOM_KMALLOC_CACHES", "SLAB_BUCKETS", "INIT_ON_ALLOC", "INIT_ON_FREE",
		"HARDENED_USERCOPY", "FORTIFY_SOURCE", "KFENCE", "KASAN", "UBSAN_BOUNDS", "VMAP_STACK", "RANDOMIZE_KSTACK_OFFSET", "STRICT_KERNEL_RWX",
		"STRICT_MODULE_RWX", "SHUFFLE_PAGE_ALLOCATOR", "PAGE_TABLE_CHECK", "DEBUG_VIRTUAL", "RANDOMIZE_BASE", "BUG_ON_DATA_CORRUPTION",
		"SCHED_STACK_END_CHECK", "ARM64_MTE", "KASAN_HW_TAGS", "IOMMU_STRICT", "MEMORY_ECC", "MEMORY_FAILURE", "NO_DEVMEM", "STRICT_DEVMEM", "NO_PROC_KCORE", "SLUB_DEBUG",
	} {
		if !seen[id] {
			t.Errorf("no %s", id)
		}
	}
}

// state is what an entry of the table must come out as.
type state string

const (
	isOn      state = "on"
	isOff     state = "off"
	isUnknown state = "unknown"
)

func stateOf(v Value[bool]) state {
	switch {
	case !v.Known():
		return isUnknown
	case v.V:
		return isOn
	}
	return isOff
}

// onIn evaluates one entry in a tree of files.
func onIn(t *testing.T, id string, files map[string]string) Value[bool] {
	t.Helper()
	f, _ := readAll(t, tree(t, files))
	i := slices.IndexFunc(f.Hardening, func(h Hardening) bool { return h.ID == id })
	if i < 0 {
		t.Fatalf("no %s", id)
	}
	return f.Hardening[i].On
}

// What has an effect that can be seen goes by it; the configuration and the command
// line are an inference; what neither says is unknown, and not off.
func TestHardeningStates(t *testing.T) {
	const config, cmdline = "proc/config.gz", "proc/cmdline"
	built := func(text string) string { return zipped(t, "CONFIG_X=y\n"+text) }
	const kfence = "sys/module/kfence/parameters/sample_interval"
	for _, test := range []struct {
		id     string
		files  map[string]string
		want   state
		method guarantee.Method
	}{
		{"LIST_HARDENED", map[string]string{config: built("CONFIG_LIST_HARDENED=y\n")}, isOn, guarantee.Inference},
		{"LIST_HARDENED", map[string]string{config: built("# CONFIG_LIST_HARDENED is not set\n")}, isOff, guarantee.Inference},
		{"LIST_HARDENED", map[string]string{config: "garbage"}, isUnknown, ""},
		{"LIST_HARDENED", nil, isUnknown, ""},

		{"INIT_ON_ALLOC", map[string]string{config: built("CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\n"), cmdline: "ro\n"}, isOn, guarantee.Inference},
		{"INIT_ON_ALLOC", map[string]string{config: built("CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\n"), cmdline: "init_on_alloc=0\n"}, isOff, guarantee.Inference},
		{"INIT_ON_ALLOC", map[string]string{config: built("CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\n"), cmdline: "-- init_on_alloc=0\n"}, isOn, guarantee.Inference},
		{"INIT_ON_ALLOC", map[string]string{config: built(""), cmdline: "init_on_alloc=on\n"}, isOn, guarantee.Inference},
		{"INIT_ON_ALLOC", map[string]string{config: built(""), cmdline: "init_on_alloc=perhaps\n"}, isUnknown, ""},
		{"INIT_ON_ALLOC", map[string]string{config: built("CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\n")}, isUnknown, ""},

		{"KFENCE", map[string]string{kfence: "100\n", config: built("")}, isOn, guarantee.Read},
		{"KFENCE", map[string]string{kfence: "0\n", config: built("CONFIG_KFENCE=y\nCONFIG_KFENCE_SAMPLE_INTERVAL=100\n"), cmdline: "ro"}, isOff, guarantee.Read},
		{"KFENCE", map[string]string{kfence: "-1\n", config: built("CONFIG_KFENCE=y\nCONFIG_KFENCE_SAMPLE_INTERVAL=100\n"), cmdline: "ro"}, isUnknown, ""},
		{"KFENCE", map[string]string{config: built("CONFIG_KFENCE=y\nCONFIG_KFENCE_SAMPLE_INTERVAL=100\n"), cmdline: "ro"}, isOn, guarantee.Inference},
		{"KFENCE", map[string]string{config: built("CONFIG_KFENCE=y\nCONFIG_KFENCE_SAMPLE_INTERVAL=0\n"), cmdline: "ro"}, isOff, guarantee.Inference},
		{"KFENCE", map[string]string{config: built("CONFIG_KFENCE=y\nCONFIG_KFENCE_SAMPLE_INTERVAL=100\n"), cmdline: "kfence.sample_interval=0"}, isOff, guarantee.Inference},

		{"HARDENED_USERCOPY", map[string]string{config: built("CONFIG_HARDENED_USERCOPY=y\n"), cmdline: "ro"}, isOn, guarantee.Inference},
		{"HARDENED_USERCOPY", map[string]string{config: built("CONFIG_HARDENED_USERCOPY=y\n# CONFIG_HARDENED_USERCOPY_DEFAULT_ON is not set\n"), cmdline: "ro"}, isOff, guarantee.Inference},
		{"HARDENED_USERCOPY", map[string]string{config: built("CONFIG_HARDENED_USERCOPY=y\n"), cmdline: "hardened_usercopy=off"}, isOff, guarantee.Inference},

		{"STRICT_KERNEL_RWX", map[string]string{config: built("CONFIG_STRICT_KERNEL_RWX=y\n"), cmdline: "rodata=full"}, isOn, guarantee.Inference},
		{"STRICT_KERNEL_RWX", map[string]string{config: built("CONFIG_STRICT_KERNEL_RWX=y\n"), cmdline: "rodata=off"}, isOff, guarantee.Inference},
		{"STRICT_MODULE_RWX", map[string]string{config: built("CONFIG_MODULES=y\nCONFIG_STRICT_MODULE_RWX=y\n"), cmdline: "ro"}, isOn, guarantee.Inference},
		{"STRICT_MODULE_RWX", map[string]string{config: built("CONFIG_MODULES=y\n"), cmdline: "ro"}, isOff, guarantee.Inference},
		{"STRICT_MODULE_RWX", map[string]string{config: built(""), cmdline: "ro"}, isOn, guarantee.Inference},

		{"SLAB_NOMERGE", map[string]string{"sys/kernel/slab/kmalloc-8/sanity_checks": "0\n", config: built("CONFIG_SLAB_MERGE_DEFAULT=y\n"), cmdline: "ro"}, isOn, guarantee.Read},
		{"SLAB_NOMERGE", map[string]string{config: built("CONFIG_SLAB_MERGE_DEFAULT=y\n"), cmdline: "ro"}, isOff, guarantee.Inference},
		{"SLAB_NOMERGE", map[string]string{config: built("CONFIG_SLAB_MERGE_DEFAULT=y\n"), cmdline: "slab_nomerge"}, isOn, guarantee.Inference},

		{"SLUB_DEBUG", slabFiles("1", "1"), isOn, guarantee.Read},
		{"SLUB_DEBUG", slabFiles("1", "0"), isOff, guarantee.Read},
		{"SLUB_DEBUG", slabFiles("1", "x"), isUnknown, ""},

		{"LOCKDOWN", map[string]string{"sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}, isOn, guarantee.Read},
		{"LOCKDOWN", map[string]string{"sys/kernel/security/lockdown": "[none] integrity confidentiality\n"}, isOff, guarantee.Read},
		{"LOCKDOWN", map[string]string{"sys/kernel/security/lsm": "capability,yama"}, isOff, guarantee.Read},
		{"LOCKDOWN", map[string]string{config: built("CONFIG_SECURITY_LOCKDOWN_LSM=y\nCONFIG_SECURITY_LOCKDOWN_LSM_EARLY=y\n"), cmdline: "lockdown=integrity"}, isOn, guarantee.Inference},
		{"LOCKDOWN", map[string]string{config: built("CONFIG_SECURITY_LOCKDOWN_LSM=y\nCONFIG_SECURITY_LOCKDOWN_LSM_EARLY=y\n"), cmdline: "ro"}, isUnknown, ""},

		{"NO_DEVMEM", map[string]string{"sys/class/mem/null/dev": "1:3\n"}, isOn, guarantee.Read},
		{"NO_DEVMEM", map[string]string{"sys/class/mem/mem/dev": "1:1\n"}, isOff, guarantee.Read},
		{"STRICT_DEVMEM", map[string]string{"sys/class/mem/mem/dev": "1:1\n", config: built("CONFIG_STRICT_DEVMEM=y\n")}, isOn, guarantee.Inference},
		{"STRICT_DEVMEM", map[string]string{"sys/class/mem/mem/dev": "1:1\n", config: built("")}, isOff, guarantee.Inference},
		{"PROC_MEM_NO_FORCE", map[string]string{config: built("CONFIG_PROC_MEM_ALWAYS_FORCE=y\n"), cmdline: "proc_mem.force_override=never"}, isOn, guarantee.Inference},

		{"IOMMU_STRICT", map[string]string{"sys/kernel/iommu_groups/0/type": "DMA\n"}, isOn, guarantee.Read},
		{"IOMMU_STRICT", map[string]string{"sys/kernel/iommu_groups/0/type": "DMA\n", "sys/kernel/iommu_groups/1/type": "DMA-FQ\n"}, isOff, guarantee.Read},
		{"IOMMU_STRICT", map[string]string{"sys/kernel/iommu_groups/0/type": "identity\n"}, isOff, guarantee.Read},

		{"MEMORY_ECC", edacFiles("SECDED"), isOn, guarantee.Read},
		{"MEMORY_ECC", edacFiles("None"), isOff, guarantee.Read},
		{"MEMORY_ECC", map[string]string{"sys/devices/system/cpu/online": "0\n"}, isUnknown, ""},
		{"EDAC", edacFiles("None"), isOn, guarantee.Read},
		{"EDAC", map[string]string{"sys/devices/system/cpu/online": "0\n"}, isOff, guarantee.Read},
		{"EDAC", nil, isUnknown, ""},

		{"MEMORY_FAILURE", map[string]string{"proc/meminfo": "MemTotal: 1 kB\nHardwareCorrupted: 0 kB\n"}, isOn, guarantee.Read},
		{"MEMORY_FAILURE", map[string]string{"proc/meminfo": "MemTotal: 1 kB\n"}, isOff, guarantee.Read},
		{"MEMORY_FAILURE", map[string]string{"proc/meminfo": "HardwareCorrupted: -1 kB\n"}, isUnknown, ""},
		{"MEMORY_FAILURE", nil, isUnknown, ""},

		{"X86_SMAP", map[string]string{"proc/cpuinfo": "processor : 0\nflags : smap\n"}, isOn, guarantee.Read},
		{"X86_SMAP", map[string]string{"proc/cpuinfo": "processor : 0\nflags : smap\n\nprocessor : 1\nflags : smep\n"}, isOff, guarantee.Read},
		{"KASAN_HW_TAGS", map[string]string{"proc/cpuinfo": "processor : 0\nFeatures : mte\n", config: built("CONFIG_KASAN_HW_TAGS=y\n"), cmdline: "ro"}, isOn, guarantee.Inference},
		{"KASAN_HW_TAGS", map[string]string{"proc/cpuinfo": "processor : 0\nFeatures : mte\n", config: built("CONFIG_KASAN_HW_TAGS=y\n"), cmdline: "kasan=off"}, isOff, guarantee.Inference},
		{"KASAN_HW_TAGS", map[string]string{"proc/cpuinfo": "processor : 0\nFeatures : fp\n"}, isOff, guarantee.Read},
	} {
		v := onIn(t, test.id, test.files)
		if stateOf(v) != test.want || test.method != "" && v.Method != test.method {
			t.Errorf("%s with %q: %s by %q (%v); want %s by %q", test.id, test.files, stateOf(v), v.Method, v.Err, test.want, test.method)
		}
	}
}

func slabFiles(sanity, redZone string) map[string]string {
	const dir = "sys/kernel/slab/"
	files := map[string]string{}
	for _, cache := range []string{"kmalloc-8", "kmalloc-16"} {
		files[dir+cache+"/sanity_checks"] = sanity
		files[dir+cache+"/red_zone"] = "1"
		files[dir+cache+"/poison"] = "0"
		files[dir+cache+"/store_user"] = "0"
	}
	files[dir+"kmalloc-16/red_zone"] = redZone
	return files
}

func edacFiles(mode string) map[string]string {
	const dir = "sys/devices/system/edac/mc/mc0/"
	return map[string]string{
		dir + "mc_name": "skx_edac\n", dir + "ce_count": "3\n", dir + "ue_count": "0\n",
		dir + "dimm0/dimm_edac_mode": mode + "\n", dir + "dimm1/dimm_edac_mode": "SECDED\n",
		"sys/devices/system/edac/mc/power/control": "auto\n",
	}
}

// On the running kernel every entry is known, or says why not.
func TestLiveHardening(t *testing.T) {
	f, _ := readLive(t)
	if len(f.Hardening) == 0 {
		t.Fatal("no entry")
	}
	for _, h := range f.Hardening {
		if reason := ReasonOf(h.On.Err); !h.On.Known() && reason != Absent && reason != Denied {
			t.Errorf("%s: %s: %v", h.ID, reason, h.On.Err)
		}
		if h.On.Source == "" || h.On.Method == "" {
			t.Errorf("%s: source %q, method %q", h.ID, h.On.Source, h.On.Method)
		}
	}
}

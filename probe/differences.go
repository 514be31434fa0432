package probe

import "strings"

// differences says, for probes whose answers differ between kernels and machines, what made
// them differ: the commit or document where it is known, and else what was found in the way of
// an answer.
var differences = withGroups(map[string]string{
	"sm-lock-flag": "later kernels (and their stable series, such as 6.12.117) charge secret memory to its user page by page when it is touched, " +
		"and no longer mark the mapping as locked (mm/secretmem.c, secretmem_account_folio in place of VM_LOCKED)",
	"sm-limit":            "as for sm-lock-flag: the limit is charged when memory is touched, not when it is mapped; see sm-limit-touch",
	"sm-limit-none":       "as for sm-lock-flag: pages that can't be touched are never charged",
	"sm-limit-touch":      "as for sm-lock-flag: the mapping is refused on the ones (EAGAIN), the store to the page too many on the others",
	"sm-munlock":          "as for sm-lock-flag: where there is no mark, none can stay",
	"sm-linear-count":     "kernels for arm64 have no lines DirectMap in /proc/meminfo",
	"sm-hibernate":        "a kernel without CONFIG_HIBERNATION has no /sys/power/disk",
	"mf-hook":             "the kernel asks since Linux 6.19 (commit 094e94d13b60)",
	"mdwe-proc-mem":       procMemForce,
	"ro-anon-mem":         procMemForce,
	"ro-seal-private-mem": procMemForce,
	"ms-proc-mem":         procMemForce,
	"cc-cow-file":         procMemForce + "; the race needs such writes",
	"cc-cow-memfd":        procMemForce + "; the race needs such writes",
	"pk-none":             "the machine with the later kernels has protection keys, by its emulator; see pk-store",
	"pm-sync-dax":         "the lab's machines have an NVDIMM, the other one has none",
	"kz-devmem":           "a kernel without CONFIG_DEVMEM has no /dev/mem",
	"kz-kcore":            "a kernel without CONFIG_PROC_KCORE has no /proc/kcore",
	"rs-droppable":        "MAP_DROPPABLE is of Linux 6.11 (commit 9651fcedf7b9)",
	"rs-droppable-future": "6.18.15 locks it, the others do not (a test of the kernel, mlock2-tests, wants that it is not locked)",
	"guard-smaps":         "6.18.15 does not show the flag, 6.18.44 and 7.3.4 do (a test of the kernel, guard-regions, wants it)",
	"psi-lost":            "on an emulator nobody reads more often than the kernel ticks, and nothing is lost",
	"ms-vdso":             "CONFIG_MSEAL_SYSTEM_MAPPINGS is of Linux 6.16, and off by default (Documentation/userspace-api/mseal.rst)",
	"uffd-wp-store":       "UFFD_FEATURE_WP_ASYNC and PAGEMAP_SCAN are of Linux 6.7 (commits d61ea1cb0095 and 52526ca7fdb9)",
	"uffd-wp-kernel":      "UFFD_FEATURE_WP_ASYNC and PAGEMAP_SCAN are of Linux 6.7 (commits d61ea1cb0095 and 52526ca7fdb9)",
	"guard-pagemap":       "the bit is of Linux 6.15 (Documentation/admin-guide/mm/pagemap.rst)",
})

const procMemForce = "such writes are for tracers alone, or for nobody, where the kernel was built or booted so " +
	"(proc_mem.force_override, CONFIG_PROC_MEM_FORCE_PTRACE, Linux 6.12, commit 41e8149c8892)"

// groups are probes of one feature, which a kernel has or lacks.
var groups = []struct{ prefix, why string }{
	{"mf-", "MFD_EXEC, MFD_NOEXEC_SEAL and F_SEAL_EXEC are of Linux 6.3 (commits 6fd7353829ca and 105ff5339f49)"},
	{"nx-", "vm.memfd_noexec is of Linux 6.3 (commit 105ff5339f49), and a hierarchy since 6.6 (commit 9876cfe8ec1c)"},
	{"ms-", "mseal is of Linux 6.10 (commit 8be7258aad44)"},
	{"mdwe-", "PR_SET_MDWE is of Linux 6.3 (commit b507808ebce2)"},
	{"guard-", "guard regions are of Linux 6.13 (commit 662df3e5c376)"},
	{"pk-", "a processor has protection keys, or has none"},
	{"sm-", "secret memory is off by default before Linux 6.5 (secretmem.enable, commit b758fe6df50d)"},
}

func withGroups(known map[string]string) map[string]string {
	for _, p := range Catalogue() {
		for _, g := range groups {
			if _, ok := known[p.ID]; !ok && strings.HasPrefix(p.ID, g.prefix) {
				known[p.ID] = g.why
			}
		}
	}
	return known
}

// Difference says what is known of why kernels differ in a probe; empty where nothing is.
func Difference(id string) string { return differences[id] }

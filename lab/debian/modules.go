package debian

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Modules that a lab machine may need, by what for. A kernel may have one built in, or
// not at all: newer ones do without crc32c_generic.
var (
	// BootModules are what the guest needs to reach its runner.
	BootModules = []string{"virtio_pci", "virtio_console"}
	// FileModules are file systems, and what they ask the kernel for at run time, which
	// is in no list of dependencies.
	FileModules = []string{"crc32c_generic", "ext4", "xfs"}
	// DeviceModules bring disks and NVDIMMs up.
	DeviceModules = []string{"virtio_blk", "nd_pmem", "dax_pmem", "device_dax", "nfit"}
)

// Wanted are all of them.
func Wanted() []string { return slices.Concat(BootModules, FileModules, DeviceModules) }

// canonical: names of modules use - and _ alike.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleName is the name of the module in a file such as kernel/fs/ext4/ext4.ko.xz.
func moduleName(file string) (string, bool) {
	name, _, ok := strings.Cut(path.Base(file), ".ko")
	return canonical(name), ok
}

// parseDependencies returns the modules that a module's own text (its section .modinfo)
// says it depends on.
func parseDependencies(module []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo: this is no kernel module")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(canonical(list), ","), nil
		}
	}
	return nil, nil
}

// Order returns the wanted modules and all that they depend on, each behind what it
// needs. depends has the direct dependencies of every module that is a file; what is not
// in it is built in, or not there.
func Order(depends map[string][]string, wanted []string) []string {
	var order []string
	seen := map[string]bool{}
	var add func(string)
	add = func(name string) {
		direct, isFile := depends[name]
		if seen[name] || !isFile {
			return
		}
		seen[name] = true
		for _, needed := range direct {
			add(needed)
		}
		order = append(order, name)
	}
	for _, name := range wanted {
		add(canonical(name))
	}
	return order
}

package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/lab/debian"
	"github.com/safevma/safevma/lab/image"
	"github.com/safevma/safevma/lab/wire"
)

// initramfs makes the first root of a guest: the init and its modules.
func initramfs(kernel *debian.Kernel, init []byte) ([]byte, error) {
	config, err := kernel.ConfigText()
	if err != nil {
		return nil, err
	}
	all := debian.Order(kernel.Depends, debian.Wanted())
	early := debian.Order(kernel.Depends, slices.Concat(debian.BootModules, debian.FileModules))
	late := all[len(early):] // Wanted begins with the early ones
	var b bytes.Buffer
	a := image.NewArchive(&b)
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "boot", "lab", inArchive(wire.ModuleDir)} {
		a.Directory(dir)
	}
	a.Character("dev/console", 5, 1)
	a.File("init", 0o755, init)
	a.File("boot/config-"+kernel.Release, 0o644, config) // where Debian has it
	a.File(inArchive(wire.ModuleList), 0o644, []byte(strings.Join(early, "\n")+"\n\n"+strings.Join(late, "\n")+"\n"))
	for _, name := range all {
		module, err := kernel.Module(name)
		if err != nil {
			return nil, err
		}
		a.File(inArchive(wire.ModuleDir)+"/"+name+".ko", 0o644, module)
	}
	return b.Bytes(), a.Close()
}

// inArchive is what a path of the guest is called in its first root.
func inArchive(path string) string { return strings.TrimPrefix(path, "/") }

// CheckProgram says why a program can't run in a guest: there are no libraries, and it
// must be for the guest's architecture.
func CheckProgram(path, arch string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; file.Machine != want {
		return fmt.Errorf("%s is for %v, and the guest for %s: build it with GOARCH=%s", path, file.Machine, arch, arch)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically, and the guest has no libraries: build it with CGO_ENABLED=0, or for -race with -ldflags '-linkmode external -extldflags \"-static\"'", path)
		}
	}
	return nil
}

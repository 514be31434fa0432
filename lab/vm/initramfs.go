package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/lab/debian"
	"github.com/safevma/safevma/lab/image"
)

// The paths in the guest are those of package guest, which this package does not import:
// it runs on the other side.
const (
	moduleList = "lab/modules.list"
	moduleDir  = "lab/modules"
	portName   = "safevma.lab"
)

// initramfs makes the first root of a guest: the init and its modules.
func initramfs(kernel *debian.Kernel, init []byte) ([]byte, error) {
	early := debian.Order(kernel.Depends, append(append([]string{}, debian.BootModules...), debian.FileModules...))
	all := debian.Order(kernel.Depends, append(append([]string{}, debian.BootModules...), append(append([]string{}, debian.FileModules...), debian.DeviceModules...)...))
	late := all[len(early):]
	var b bytes.Buffer
	a := image.NewArchive(&b)
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "lab", moduleDir} {
		a.Directory(dir)
	}
	a.Character("dev/console", 5, 1)
	a.File("init", 0o755, init)
	a.File(moduleList, 0o644, []byte(strings.Join(early, "\n")+"\n\n"+strings.Join(late, "\n")+"\n"))
	for _, name := range all {
		module, err := kernel.Module(name)
		if err != nil {
			return nil, err
		}
		a.File(moduleDir+"/"+name+".ko", 0o644, module)
	}
	return b.Bytes(), a.Close()
}

// readInit reads the program that becomes the init, and checks that it can.
func readInit(path, arch string) ([]byte, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; file.Machine != want {
		return nil, fmt.Errorf("%s is for %v: the guest needs an init for %s", path, file.Machine, arch)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s is linked dynamically, and the guest has no libraries: build it with CGO_ENABLED=0", path)
		}
	}
	return program, nil
}

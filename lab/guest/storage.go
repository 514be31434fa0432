package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/machine"
)

// patience is how long a device may take to appear.
const patience = 20 * time.Second

// storage brings up the NVDIMMs and disks of a machine, and says in m what they are
// called.
func (g *guest) storage(m *machine.Machine) error {
	if len(m.NVDIMMs)+len(m.Disks) == 0 {
		return nil
	}
	if err := loadModules(g.devices); err != nil {
		return err
	}
	for i := range m.NVDIMMs {
		if err := g.nvdimm(i, &m.NVDIMMs[i]); err != nil {
			return fmt.Errorf("NVDIMM %d: %w", i, err)
		}
	}
	for i, d := range m.Disks {
		if err := g.mount(fmt.Sprintf("/dev/vd%c", 'a'+i), d.Path, d.FS, ""); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) nvdimm(slot int, n *machine.NVDIMM) error {
	region, err := awaitRegion(slot)
	if err != nil {
		return err
	}
	device := fmt.Sprintf("/dev/pmem%d", region)
	switch n.Kind {
	case "devdax":
		n.Path = fmt.Sprintf("/dev/dax%d.0", region)
		return await(n.Path)
	case "raw":
		n.Path = device
		return await(n.Path)
	}
	return g.mount(device, n.Path, n.Kind, "dax=always")
}

// awaitRegion returns the number of the kernel's region for the NVDIMM in a slot. The
// kernel numbers regions in an order of its own.
func awaitRegion(slot int) (int, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		mappings, err := filepath.Glob("/sys/bus/nd/devices/region*/mapping0")
		if err != nil {
			return 0, err
		}
		for _, mapping := range mappings {
			var region int
			if handle(mapping) != slot+1 { // QEMU numbers from 1
				continue
			}
			_, err := fmt.Sscanf(filepath.Base(filepath.Dir(mapping)), "region%d", &region)
			return region, err
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("no region of slot %d among %d within %v", slot, len(mappings), patience)
		}
	}
}

// handle returns the number that the firmware's table gives the NVDIMM of a region, or 0.
// Source: Documentation/ABI/testing/sysfs-bus-nfit.
func handle(mapping string) (number int) {
	text, err := os.ReadFile(mapping) // nmem0,0,268435456,0
	if err != nil {
		return 0
	}
	dimm, _, _ := strings.Cut(string(text), ",")
	text, err = os.ReadFile(filepath.Join("/sys/bus/nd/devices", dimm, "nfit/handle"))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscanf(string(text), "0x%x", &number); err != nil {
		return 0
	}
	return number
}

func (g *guest) mount(device, target, fstype, options string) error {
	if err := await(device); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := sys.Mount(device, target, fstype, options); err != nil {
		return err
	}
	g.mounted = append(g.mounted, target)
	return os.Chmod(target, 0o777) // tests may run as any user
}

// await waits until the kernel has made a device. Its node is there a little before it can
// be opened: until then the kernel answers ENXIO.
func await(device string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		file, err := os.Open(device)
		if err == nil {
			return file.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENXIO) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w, within %v", err, patience)
		}
	}
}

package guest

import (
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/wire"
)

// PortName is the name of the virtio-serial port to the runner.
const PortName = "safevma.lab"

// ModuleList is the file in the guest's first root that names the modules that
// [Modules] has, one a line, in the order in which they load. Lines before an empty line
// are loaded at once, those behind it when disks come up.
const (
	ModuleList = "/lab/modules.list"
	Modules    = "/lab/modules"
)

// IsInit reports whether this process is the init of a lab machine.
func IsInit() bool {
	if os.Getpid() != 1 {
		return false
	}
	_, err := os.Stat(ModuleList)
	return err == nil
}

// Init does the work of an init, and never returns: the machine powers off.
func Init() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab init:", err)
	}
	if err := sys.PowerOff(); err != nil {
		fmt.Fprintln(os.Stderr, "lab init:", err)
	}
	select {} // a kernel whose init ends panics
}

func run() error {
	if err := mountAll(); err != nil {
		return err
	}
	early, late, err := moduleLists()
	if err != nil {
		return err
	}
	if err := loadModules(early); err != nil {
		return err
	}
	if err := sys.LinkUp("lo"); err != nil {
		return err
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	g := &guest{conn: wire.NewConn(port), devices: late}
	go reap()
	return g.serve()
}

func moduleLists() (early, late []string, err error) {
	text, err := os.ReadFile(ModuleList)
	if err != nil {
		return nil, nil, err
	}
	before, after, _ := strings.Cut(string(text), "\n\n")
	return strings.Fields(before), strings.Fields(after), nil
}

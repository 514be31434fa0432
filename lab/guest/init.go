package guest

import (
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/wire"
)

// IsInit reports whether this process is the init of a lab machine.
func IsInit() bool {
	if os.Getpid() != 1 {
		return false
	}
	_, err := os.Stat(wire.ModuleList)
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
	text, err := os.ReadFile(wire.ModuleList)
	if err != nil {
		return nil, nil, err
	}
	before, after, _ := strings.Cut(string(text), "\n\n")
	return strings.Fields(before), strings.Fields(after), nil
}

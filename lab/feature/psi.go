package feature

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var psi = Feature{
	Name:   "psi",
	Title:  "pressure stall information is counted, and wakes whoever waits for it",
	Source: "Documentation/accounting/psi.rst",
	Since:  "6.1",
	probe:  probePSI,
}

// probePSI reads the pressure of memory, and sets a trigger. The window is one that the
// superuser's privilege is not needed for. The control is more pressure than the window
// has room for.
func probePSI() Result {
	const path = "/proc/pressure/memory"
	text, err := os.ReadFile(path)
	if err != nil { // EOPNOTSUPP: built, and switched off
		return absentIf(path, err, "", syscall.ENOENT, syscall.EOPNOTSUPP)
	}
	if !strings.HasPrefix(string(text), "some avg10=") {
		return unknown(path+" is "+string(text), nil)
	}
	const bad, good = "some 3000000 2000000\x00", "some 150000 2000000\x00" // microseconds: the pressure, the window
	if err := setTrigger(path, bad); !errors.Is(err, syscall.EINVAL) {
		return noControl("a trigger at 3 s of pressure in 2 s, want EINVAL", err)
	}
	if err := setTrigger(path, good); err != nil {
		return unknown("a trigger at 0.15 s of pressure in 2 s", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return present("a trigger at 0.15 s of pressure in 2 s: ok; "+first, "at 3 s of pressure in 2 s: EINVAL")
}

// setTrigger sets a trigger; it ends with the file.
func setTrigger(path, trigger string) error {
	f, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdwr)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(trigger)
	return err
}

package feature

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/machine"
)

var eadr = Feature{
	Name:   "eadr",
	Title:  "the platform says that the processor's caches are persistent (eADR)",
	Source: "Documentation/ABI/testing/sysfs-bus-nvdimm, persistence_domain",
	Since:  "6.1",
	needs: func(m machine.Machine) string {
		switch {
		case len(m.NVDIMMs) == 0:
			return "the machine has no NVDIMM"
		case m.Persistence != cpuCache:
			return "the machine's persistence domain is " + strconv.Quote(m.Persistence)
		}
		return ""
	},
	probe: probeEADR,
}

const cpuCache = "cpu_cache"

// probeEADR reads what each region of persistent memory says of itself. The control is
// the size of the same region, or, where there is none, that sysfs is there to be read.
func probeEADR() Result {
	if err := onSysfs("/sys/bus"); err != nil {
		return noControl("/sys/bus", err)
	}
	regions, err := filepath.Glob("/sys/bus/nd/devices/region*")
	if err != nil {
		return unknown("regions", err)
	}
	if len(regions) == 0 {
		return absent("no regions in /sys/bus/nd/devices", "/sys/bus is on sysfs")
	}
	answer := Absent
	var observed, control []string
	for _, region := range regions {
		size, err := readLine(filepath.Join(region, "size"))
		if n, _ := strconv.ParseUint(size, 10, 64); err != nil || n == 0 {
			return noControl(region+"/size "+size, err)
		}
		domain, err := readLine(filepath.Join(region, "persistence_domain"))
		if errors.Is(err, fs.ErrNotExist) { // the kernel hides the file where the platform tells nothing
			domain, err = "(none told)", nil
		}
		if err != nil {
			return unknown(region, err)
		}
		if domain == cpuCache {
			answer = Present
		}
		observed = append(observed, filepath.Base(region)+" "+domain)
		control = append(control, filepath.Base(region)+" has "+size+" bytes")
	}
	return Result{Answer: answer, Observed: strings.Join(observed, "; "), Control: strings.Join(control, "; ")}
}

func onSysfs(dir string) error { return onFileSystem(dir, sys.MagicSysfs) }

var errOtherFileSystem = errors.New("another file system is mounted there, or none")

func onFileSystem(dir string, magic int64) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	switch got, err := sys.FileSystem(f); {
	case err != nil:
		return err
	case got != magic:
		return errOtherFileSystem
	}
	return nil
}

// readLine reads a file of one line, without the newline.
func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSuffix(string(text), "\n"), err
}

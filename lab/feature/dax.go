package feature

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

var dax = Feature{
	Name:   "dax",
	Title:  "files are accessed without the page cache (DAX)",
	Source: "statx(2), STATX_ATTR_DAX; Documentation/filesystems/dax.rst",
	Since:  "6.1",
	needs:  needsDAX,
	probe:  probeDAX,
}

// probeDAX asks for the attribute of a new file on each mount that may do DAX. The
// control is a memfd, which never has it.
func probeDAX() Result {
	control, err := sys.MemfdCreate("dax-control", 0)
	if err != nil {
		return noControl("memfd_create", err)
	}
	defer control.Close()
	said, on, err := daxAttribute(control)
	if err != nil || on {
		return noControl(said+" for a memfd", err)
	}
	return eachDAXMount(said+" for a memfd", func(f *os.File) Result {
		said, on, err := daxAttribute(f)
		switch {
		case err != nil:
			return unknown(f.Name(), err)
		case on:
			return present(f.Name()+": "+said, "")
		}
		return absent(f.Name()+": "+said, "")
	})
}

func daxAttribute(f *os.File) (said string, on bool, err error) {
	on, known, err := sys.DAX(f)
	if err == nil && !known {
		err = errors.New("statx does not tell of DAX")
	}
	return fmt.Sprintf("STATX_ATTR_DAX=%t", on), on, err
}

// eachDAXMount probes a new file without a name on each mount that may do DAX, up to
// the first one where the answer is present.
func eachDAXMount(control string, probe func(*os.File) Result) Result {
	points, err := daxMounts()
	if err != nil {
		return unknown("mountinfo", err)
	}
	if len(points) == 0 {
		return absent("no file system of /proc/self/mountinfo is on a pmem device or mounted with dax", control)
	}
	var all Result
	var observed []string
	for _, point := range points {
		r := onMount(point, probe)
		observed = append(observed, r.Observed)
		if all.Answer != Unknown || r.Answer == Present { // unknown outweighs absent
			all = r
		}
		if r.Answer == Present {
			break
		}
	}
	all.Observed, all.Control = strings.Join(observed, "; "), control
	return all
}

func onMount(point string, probe func(*os.File) Result) Result {
	f, err := sys.TempFile(point)
	if err != nil {
		return unknown("a file in "+point, err)
	}
	defer f.Close()
	return probe(f)
}

package feature

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/safevma/safevma/lab/machine"
)

// unescape undoes what the kernel makes of white space in /proc/self/mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// daxMounts returns where file systems are mounted that may access files without the
// page cache: on a pmem device, or with an option that says so.
func daxMounts() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseDAXMounts(string(text))
}

// parseDAXMounts parses "36 35 98:0 /root /point opts [tags] - type source options",
// line by line (proc_pid_mountinfo(5)).
func parseDAXMounts(text string) (points []string, err error) {
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		where, what := strings.Fields(left), strings.Fields(right)
		if !ok || len(where) < 6 || len(what) < 2 {
			return nil, fmt.Errorf("%q is not a line of mountinfo", line)
		}
		if mayDAX(what) {
			points = append(points, unescape.Replace(where[4]))
		}
	}
	return points, nil
}

// mayDAX: the file system type, the source, and mostly the options.
func mayDAX(what []string) bool {
	if strings.HasPrefix(what[1], "/dev/pmem") {
		return true
	}
	return len(what) > 2 && slices.ContainsFunc(strings.Split(what[2], ","), func(option string) bool {
		return option == "dax" || option == "dax=always" || option == "dax=inode"
	})
}

// needsDAX is what a machine lacks for a DAX file system.
func needsDAX(m machine.Machine) string {
	if slices.ContainsFunc(m.NVDIMMs, func(n machine.NVDIMM) bool { return n.Kind == "ext4" || n.Kind == "xfs" }) {
		return ""
	}
	return "the machine has no NVDIMM with a file system"
}

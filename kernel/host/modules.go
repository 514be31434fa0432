package host

import (
	"fmt"
	"io"
	"strings"
)

// Modules are the loaded kernel modules (/proc/modules).
type Modules struct {
	Count uint64 `json:"count"`
	Bytes uint64 `json:"bytes"`
}

// parseModules parses lines such as "nfs 12288 2 nfsv3,nfsv4, Live 0x0000000000000000".
func parseModules(r io.Reader) (Modules, string, error) {
	var m Modules
	err := eachLine(r, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return malformed("%s is not a module", quote(line))
		}
		size, err := parseUint(fields[1])
		if err != nil {
			return err
		}
		m.Count++
		if m.Bytes += size; m.Bytes < size {
			return malformed("modules of more than 2^64 bytes")
		}
		return nil
	})
	return m, fmt.Sprintf("%d modules, %d bytes", m.Count, m.Bytes), err
}

// parseVsyscall finds the permissions of [vsyscall] in the maps of a process: the one page
// of the fixmap that processes can reach. "none" where they cannot.
func parseVsyscall(r io.Reader) (string, string, error) {
	perms, raw := "none", "no [vsyscall]"
	err := eachLine(r, func(line string) error {
		if fields := strings.Fields(line); len(fields) > 5 && fields[5] == "[vsyscall]" {
			perms, raw = fields[1], line
		}
		return nil
	})
	return perms, raw, err
}

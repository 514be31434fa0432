package audit

import (
	"fmt"
	"os"
	"strings"

	"github.com/safevma/safevma/kernel/process"
)

// hiddenProcesses returns why processes of others may be missing from the list: the proc
// file system is mounted with hidepid, and this user is an ordinary one (proc(5)). "" says
// that all processes of the PID namespace are listed.
func hiddenProcesses(proc process.FS) string {
	if os.Geteuid() == 0 {
		return ""
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return hidepid(string(text), proc.Root())
}

// hidepid looks in a mountinfo for the last mount at root.
func hidepid(mountinfo, root string) (reason string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[4] != root {
			continue
		}
		reason = ""
		for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
			if value, ok := strings.CutPrefix(option, "hidepid="); ok && value != "0" && value != "off" {
				reason = fmt.Sprintf("%s is mounted with hidepid=%s: processes of others are hidden", root, value)
			}
		}
	}
	return reason
}

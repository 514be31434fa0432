package host

import "strings"

// mount is one line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	root, point, fstype string
}

// parseMountinfo parses a mount table: "36 35 98:0 /root /point opts [tags] - type
// source options". White space in paths is escaped.
func parseMountinfo(text string) ([]mount, error) {
	var mounts []mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := 6
		for dash < len(fields) && fields[dash] != "-" {
			dash++
		}
		if dash+1 >= len(fields) {
			return nil, malformed("%s is not a line of mountinfo", quote(line))
		}
		mounts = append(mounts, mount{unescapeOctal(fields[3]), unescapeOctal(fields[4]), fields[dash+1]})
	}
	return mounts, nil
}

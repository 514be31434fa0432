package memfd

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Access is what a descriptor was opened for.
type Access uint8

// The accesses.
const (
	ReadOnly Access = iota
	WriteOnly
	ReadWrite
	PathOnly // O_PATH, or access mode 3: it keeps the file, but neither reads nor writes
)

var accessNames = [...]string{"read", "write", "read write", "path"}

// String returns the access in words, such as "read write".
func (a Access) String() string {
	if int(a) < len(accessNames) {
		return accessNames[a]
	}
	return "invalid"
}

type fdInfo struct {
	access      Access
	closeOnExec bool
	inode       uint64 // 0 before Linux 5.14, which does not say
}

// readInfo reads the fdinfo file of a descriptor, which must still be of that inode.
func readInfo(p *process.Process, name string, inode uint64) (fdInfo, error) {
	b, err := p.ReadFile(name)
	if err != nil {
		return fdInfo{}, err
	}
	info, err := parseInfo(b)
	if err != nil {
		return fdInfo{}, fmt.Errorf("%s: %w: %w", p.Path(name), process.ErrMalformed, err)
	}
	if info.inode != 0 && info.inode != inode {
		return fdInfo{}, fmt.Errorf("%s: %w", p.Path(name), errChanged)
	}
	return info, nil
}

// parseInfo parses the lines "flags:" (octal) and "ino:" (decimal) of
// /proc/PID/fdinfo/FD (proc_pid_fdinfo(5)).
func parseInfo(b []byte) (fdInfo, error) {
	var info fdInfo
	var hasFlags bool
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(bytes.TrimRight(line, "\n"), []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "flags":
			flags, err := strconv.ParseUint(string(value), 8, 32)
			if err != nil {
				return fdInfo{}, fmt.Errorf("flags: %w", err)
			}
			access := Access(flags & syscall.O_ACCMODE)
			if flags&sys.OPath != 0 {
				access = PathOnly
			}
			info.access, info.closeOnExec, hasFlags = access, flags&syscall.O_CLOEXEC != 0, true
		case "ino":
			ino, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return fdInfo{}, fmt.Errorf("ino: %w", err)
			}
			info.inode = ino
		}
	}
	if !hasFlags {
		return fdInfo{}, fmt.Errorf("no line with flags")
	}
	return info, nil
}

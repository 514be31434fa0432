package medium

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

var errNoMapping = errors.New("no such mapping")

// ownFlags returns the VmFlags of the own mapping that starts at an address.
func ownFlags(addr uint64) (string, error) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return "", err
	}
	defer f.Close()
	return vmFlags(f, addr)
}

// vmFlags finds the VmFlags of the mapping that starts at an address in a text as
// proc_pid_smaps(5) describes it.
func vmFlags(r io.Reader, addr uint64) (string, error) {
	here := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			if here {
				return strings.TrimSpace(flags), nil
			}
			continue
		}
		if start, _, ok := strings.Cut(line, "-"); ok {
			if n, err := strconv.ParseUint(start, 16, 64); err == nil {
				here = n == addr
			}
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%w: %#x in smaps", errNoMapping, addr)
}

func hasFlag(flags, want string) bool {
	for f := range strings.FieldsSeq(flags) {
		if f == want {
			return true
		}
	}
	return false
}

// doubtOf says why a sync of the file may not reach its device, as far as its mount shows.
func doubtOf(f *os.File) string {
	m, err := mountOf(f)
	if err != nil {
		return fmt.Sprintf("how it is mounted can't be read: %v", err)
	}
	for _, o := range m.options {
		switch o {
		case "nobarrier", "barrier=0", "volatile":
			return fmt.Sprintf("%s is mounted with %s: a sync does not reach the device's medium", m.fsType, o)
		}
	}
	return ""
}

func mountOf(f *os.File) (mount, error) {
	fdinfo, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return mount{}, err
	}
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	defer table.Close()
	return findMount(table, mountID(string(fdinfo)))
}

// mountID returns the mnt_id of a text as proc_pid_fdinfo(5) describes it, or "".
func mountID(fdinfo string) string {
	for line := range strings.Lines(fdinfo) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// mount is a line of proc_pid_mountinfo(5).
type mount struct {
	fsType  string
	options []string // of the mount and of the file system
}

func findMount(r io.Reader, id string) (mount, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 6 || len(kind) < 3 || fields[0] != id {
			continue
		}
		return mount{kind[0], append(strings.Split(fields[5], ","), strings.Split(kind[2], ",")...)}, nil
	}
	if err := lines.Err(); err != nil {
		return mount{}, err
	}
	return mount{}, fmt.Errorf("%w: mount %q in mountinfo", errNoMapping, id)
}

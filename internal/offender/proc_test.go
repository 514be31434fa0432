package offender_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/offender"
)

// What follows reads /proc from outside by plain text search. It shares nothing with
// the project's parsers, so that both can't be wrong in the same way.

// entry is one mapping of /proc/PID/smaps.
type entry struct {
	start, end      offender.Addr
	perms, dev, ino string
	name            string
	body            string // the lines below the header
}

// has reports whether VmFlags has the flag.
func (e entry) has(flag string) bool {
	_, flags, _ := strings.Cut(e.body, "\nVmFlags:")
	return strings.Contains(flags, " "+flag+" ")
}

// kB returns the value of a line; -1 if there is none.
func (e entry) kB(key string) int {
	_, value, _ := strings.Cut("\n"+e.body, "\n"+key+":")
	value, _, _ = strings.Cut(value, " kB\n")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return -1
	}
	return n
}

// smaps reads all mappings of a process. A header begins with an address, every other
// line with a capital letter.
func smaps(t testing.TB, pid int) []entry {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for rest := string(text); rest != ""; {
		line, below, _ := strings.Cut(rest, "\n")
		end := 0
		for end < len(below) && below[end] >= 'A' && below[end] <= 'Z' {
			end += strings.IndexByte(below[end:], '\n') + 1
		}
		all = append(all, parseHeader(t, line))
		all[len(all)-1].body, rest = below[:end], below[end:]
	}
	return all
}

func parseHeader(t testing.TB, line string) entry {
	t.Helper()
	fields := strings.SplitN(line, " ", 6)
	if len(fields) < 5 {
		t.Fatalf("smaps: unexpected line %q", line)
	}
	e := entry{perms: fields[1], dev: fields[3], ino: fields[4]}
	if len(fields) == 6 {
		e.name = strings.TrimLeft(fields[5], " ")
	}
	start, end, _ := strings.Cut(fields[0], "-")
	if err := errors.Join(e.start.UnmarshalText([]byte(start)), e.end.UnmarshalText([]byte(end))); err != nil {
		t.Fatalf("smaps: line %q: %v", line, err)
	}
	return e
}

// find returns the mapping that is exactly [start, end).
func find(t testing.TB, entries []entry, start, end offender.Addr) entry {
	t.Helper()
	for _, e := range entries {
		if e.start == start && e.end == end {
			return e
		}
	}
	t.Fatalf("no mapping %v-%v", start, end)
	return entry{}
}

func maps(t testing.TB, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exe(t testing.TB, pid int) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// file is one open file of a process.
type file struct {
	link string
	mode os.FileMode
}

func files(t testing.TB, pid int) []file {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("the descriptors of process %d can't be seen", pid)
	}
	var all []file
	for _, path := range paths {
		link, err := os.Readlink(path)
		if os.IsNotExist(err) {
			continue // closed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file{link, info.Mode()})
	}
	return all
}

// inode is the number of the file with that name, "" if there is none.
func inode(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)
}

// escape is the one escape that the kernel makes in names of mappings.
func escape(name string) string { return strings.ReplaceAll(name, "\n", `\012`) }

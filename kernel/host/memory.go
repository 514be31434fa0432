package host

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"maps"
)

// Memory is the kernel's own account of the memory of the host.
type Memory struct {
	// Info is /proc/meminfo: bytes, but for the numbers of huge pages ("HugePages_…").
	Info Value[Table] `fact:"info"`
	// VMStat is /proc/vmstat: events and pages.
	VMStat Value[Table] `fact:"vmstat"`
}

// Table is a file of names and numbers.
type Table struct {
	Numbers map[string]uint64 `json:"numbers"`
	// Bad says what is wrong with the lines that make no sense.
	Bad map[string]string `json:"bad,omitempty"`
}

// Get returns a number; the error is [ErrAbsent] where the file does not have it, and
// [ErrMalformed] where its line makes no sense.
func (t Table) Get(name string) (uint64, error) {
	if why, bad := t.Bad[name]; bad {
		return 0, malformed("%s: %s", name, why)
	}
	n, ok := t.Numbers[name]
	if !ok {
		return 0, fmt.Errorf("%w: no %s", ErrAbsent, name)
	}
	return n, nil
}

// Names returns the names of all good lines, sorted.
func (t Table) Names() []string { return slices.Sorted(maps.Keys(t.Numbers)) }

// add takes a line; one that comes twice is bad, since nothing says which one counts.
func (t Table) add(name string, n uint64, err error) {
	_, twice := t.Numbers[name]
	_, bad := t.Bad[name]
	switch {
	case twice || bad:
		delete(t.Numbers, name)
		t.Bad[name] = "comes twice"
	case err != nil:
		t.Bad[name] = strings.TrimPrefix(err.Error(), ErrMalformed.Error()+": ")
	default:
		t.Numbers[name] = n
	}
}

func newTable() Table { return Table{Numbers: map[string]uint64{}, Bad: map[string]string{}} }

// ReadMeminfo reads meminfo below proc, and nothing else, for those who watch a number.
func ReadMeminfo(proc string) Value[Table] { return read(filepath.Join(proc, "meminfo"), parseMeminfo) }

// ReadVMStat reads the counters of /proc/vmstat alone, from a proc file system.
func ReadVMStat(proc string) Value[Table] { return read(filepath.Join(proc, "vmstat"), parseVMStat) }

func (s *session) memory(f *Facts) {
	f.Memory.Info = read(s.proc("meminfo"), parseMeminfo)
	f.Memory.VMStat = read(s.proc("vmstat"), parseVMStat)
}

// parseMeminfo parses /proc/meminfo (proc_meminfo(5)): "MemTotal:  24684092 kB", where
// a kB is 1024 bytes.
func parseMeminfo(text string) (Table, error) {
	t := newTable()
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok || name == "" {
			return Table{}, malformed("line %s has no name and colon", quote(line))
		}
		n, err := parseMeminfoValue(name, strings.Fields(value))
		t.add(name, n, err)
	}
	return t, notEmpty(t)
}

func parseMeminfoValue(name string, value []string) (uint64, error) {
	switch {
	case len(value) == 2 && value[1] == "kB":
		return parseKiB(value[0])
	case len(value) == 1 && strings.HasPrefix(name, "HugePages_"):
		return parseUint(value[0])
	}
	return 0, malformed("%s is not a number of kB", quote(strings.Join(value, " ")))
}

// parseVMStat parses /proc/vmstat: "nr_free_pages 6136980".
func parseVMStat(text string) (Table, error) {
	t := newTable()
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || name == "" {
			return Table{}, malformed("line %s is not a name and a number", quote(line))
		}
		n, err := parseUint(value)
		t.add(name, n, err)
	}
	return t, notEmpty(t)
}

func notEmpty(t Table) error {
	if len(t.Numbers) == 0 && len(t.Bad) == 0 {
		return malformed("no line")
	}
	return nil
}

// pick makes a fact of one line of a table.
func pick(v Value[Table], name string) Value[uint64] {
	return then(v, func(t Table) (uint64, string, error) {
		n, err := t.Get(name)
		return n, lineOf(v.Raw, name), err
	})
}

// lineOf returns the line that begins with the name; where there is none, a word that
// says so.
func lineOf(text, name string) string {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if ok && rest != "" && (rest[0] == ':' || rest[0] == ' ') {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return "no " + name
}

package medium

import (
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// HasSync reports whether VmFlags are of a mapping with MAP_SYNC.
func HasSync(flags string) bool { return strings.Contains(" "+flags+" ", " sf ") }

// AsDAX makes a medium of memory take the calls as persistent memory does: the instructions
// are the same, and so are their costs, but nothing survives.
func (m *Medium) AsDAX() {
	m.way = dax
	m.info.Kind = DAX
	m.info.Flush, m.info.Stream = line.Instructions()
}

// RaceEnabled reports a program that was built with -race.
const RaceEnabled = raceEnabled

var (
	VMFlags   = vmFlags
	FindMount = findMount
	MountID   = mountID
	DomainOf  = func(sysfs string, device uint64) (string, bool, int) {
		d := domainOf(sysfs, device)
		return d.String(), d.everywhere("cpu_cache"), d.node
	}
	WriteAll = writeAll
	Zero     = zero
)

// Mappings returns the VmFlags of the mapping to read and of that to write.
func (m *Medium) Mappings() (view, alias string, err error) {
	if view, err = ownFlags(sys.Addr(m.view)); err == nil {
		alias, err = ownFlags(sys.Addr(m.alias))
	}
	return view, alias, err
}

// LoseDirectory closes the directory of a created file.
func (m *Medium) LoseDirectory() error { return m.dir.Close() }

// MountOptions returns the options of a mount.
func (m mount) MountOptions() []string { return m.options }

// Truncate makes the file of a medium shorter, as somebody else might.
func (m *Medium) Truncate(size int64) error { return m.file.Truncate(size) }

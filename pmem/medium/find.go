package medium

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// find finds out what the file is on, and maps it.
func (m *Medium) find(o Options) error {
	m.info = Info{Atom: Word, PageSize: os.Getpagesize(), Node: -1, ThreadNode: -1, Flush: "none", Stream: "none"}
	sync, why, err := trySync(m.reader)
	if err != nil {
		return err
	}
	m.info.Found = why
	m.mapping.flags = sys.MapShared
	if sync {
		m.mapping.flags = syncFlags
	}
	if err := m.place(0, m.size.Load()); err != nil {
		return err
	}
	if sync {
		m.foundDAX()
		return nil
	}
	return m.foundOther(o)
}

const syncFlags = sys.MapSharedValidate | sys.MapSync

// trySync tries MAP_SYNC. It is accepted where a store that was flushed and fenced is durable
// without a sync, and refused elsewhere (mmap(2)); kernels that don't know it refuse
// MAP_SHARED_VALIDATE. Whether it was really done, VmFlags show.
func trySync(f *os.File) (bool, string, error) {
	if ok, why := line.Usable(); !ok {
		return false, "MAP_SYNC not tried: " + why, nil
	}
	page, err := sys.Mmap(os.Getpagesize(), sys.ProtRead, syncFlags, int(f.Fd()), 0)
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EINVAL):
		return false, fmt.Sprintf("MAP_SYNC refused: %s", sys.ErrnoName(err)), nil
	case err != nil:
		return false, "", os.NewSyscallError("mmap", err)
	}
	defer sys.Munmap(page)
	flags, err := ownFlags(sys.Addr(page))
	if err != nil {
		return false, fmt.Sprintf("MAP_SYNC accepted, but unconfirmed: %v", err), nil
	}
	if !hasFlag(flags, "sf") {
		return false, fmt.Sprintf("MAP_SYNC accepted, but VmFlags %q lack sf", flags), nil
	}
	return true, "MAP_SYNC accepted, VmFlags sf", nil
}

func (m *Medium) foundDAX() {
	m.way = dax
	m.info.Kind, m.info.Unit = DAX, line.Size
	d := domainOf("/sys", m.device)
	m.info.Domain, m.info.EADR = d.String(), d.everywhere("cpu_cache")
	m.info.Flush, m.info.Stream = line.Instructions()
	if m.info.EADR {
		m.info.Flush = "fence alone"
	}
	m.nodes(d.node)
}

// assumeDAX takes memory for persistent memory.
func (m *Medium) assumeDAX() {
	if ok, why := line.Usable(); !ok {
		m.info.Found += "; not assumed to be DAX: " + why
		return
	}
	m.way = dax
	m.info.Kind = DAX
	m.info.Domain = "none: assumed to be DAX, it survives the process, not the loss of power"
	m.info.Flush, m.info.Stream = line.Instructions()
	m.info.Found += "; assumed to be DAX"
}

// foundOther tells tmpfs and its like from files on a device.
func (m *Medium) foundOther(o Options) error {
	magic, err := sys.FileSystem(m.reader)
	if err != nil {
		return err
	}
	m.nodes(-1)
	switch magic {
	case sys.MagicTmpfs, sys.MagicRamfs, sys.MagicHugetlbfs:
		m.way = volatile
		m.info.Kind, m.info.Unit = Volatile, line.Size
		m.info.Domain = "none: it survives the process, not the loss of power"
		m.info.Found += fmt.Sprintf("; file system %#x lives in memory", magic)
		if o.AssumeDAX {
			m.assumeDAX()
		}
		return nil
	}
	m.way = pageCache
	m.info.Kind, m.info.Unit = PageCache, m.info.PageSize
	m.info.Domain = "what the device keeps after a flush"
	if doubt := doubtOf(m.reader); doubt != "" {
		m.info.Domain = "unknown: " + doubt
	}
	m.info.Flush = "msync, fdatasync"
	if m.alias == nil {
		return nil
	}
	return m.tryRangeWrite()
}

// tryRangeWrite writes the first word as it is, with RWF_DSYNC.
func (m *Medium) tryRangeWrite() error {
	word, err := m.Load8(0)
	if err != nil {
		return err
	}
	_, err = sys.PwriteDsync(m.log, [][]byte{binary.LittleEndian.AppendUint64(nil, word)}, 0)
	switch {
	case err == nil:
		m.ranged, m.info.Stream = true, "pwritev2(RWF_DSYNC)"
		m.info.Found += "; RWF_DSYNC accepted"
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
		m.info.Stream = "msync"
		m.info.Found += fmt.Sprintf("; RWF_DSYNC refused: %s", sys.ErrnoName(err))
	default:
		return fail("try RWF_DSYNC", 0, Word, err)
	}
	return nil
}

// nodes asks where the memory and the thread are; the kernel may not know where a page of a
// device is, and then the region of the device says it.
func (m *Medium) nodes(region int) {
	m.info.Node = region
	if _, err := m.Load8(0); err == nil {
		if node, err := sys.NodeOf(m.view); err == nil {
			m.info.Node = node
		}
	}
	if node, err := sys.ThreadNode(); err == nil {
		m.info.ThreadNode = node
	}
}

package vma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// ErrNoAddressSpace: the process has none: a kernel thread, or one that is ending or has
// ended.
var ErrNoAddressSpace = errors.New("no address space")

// Reader reads address spaces, one at a time, and lends its buffers to the callers.
// The zero value is ready.
type Reader struct {
	list  list
	query sys.ProcmapVMA
	name  []byte
	pages []byte
	runs  []sys.PageRegion
}

// Maps calls fn for each VMA of /proc/PID/maps, in the order of addresses. An error
// of fn ends the walk and is returned as it is.
func (r *Reader) Maps(p *process.Process, fn func(*VMA) error) error {
	return r.read(p, "maps", fn)
}

// Smaps calls fn for each VMA of /proc/PID/smaps, in the order of addresses, with
// Flags and Mem. The kernel walks the page tables for it: about ten times the cost
// of Maps. A record that contradicts itself, or has no VmFlags, is an error.
func (r *Reader) Smaps(p *process.Process, fn func(*VMA) error) error {
	return r.read(p, "smaps", fn)
}

// ParseMaps is Maps for text from elsewhere. Whether it is complete only its source
// knows.
func (r *Reader) ParseMaps(text io.Reader, fn func(*VMA) error) error {
	return r.list.each(text, false, fn)
}

// ParseSmaps is Smaps for text from elsewhere.
func (r *Reader) ParseSmaps(text io.Reader, fn func(*VMA) error) error {
	return r.list.each(text, true, fn)
}

func (r *Reader) read(p *process.Process, name string, fn func(*VMA) error) error {
	return withMemory(p, name, func(f *os.File) error { return r.readFile(p, f, name == "smaps", fn) })
}

// withMemory opens a file that speaks of the address space of a process, and does
// something with it. Where that finds no address space, which it must before it has any
// effect, the same is done with another thread of the process that may still have it.
func withMemory(p *process.Process, name string, do func(*os.File) error) error {
	opened := false
	once := func(name string) error {
		f, err := p.Open(name)
		if errors.Is(err, process.ErrGone) { // pagemap and smaps_rollup say so already here
			return fmt.Errorf("%w: %w", ErrNoAddressSpace, err)
		}
		if err != nil {
			return err
		}
		defer f.Close()
		opened = true
		return do(f)
	}
	err := once(name)
	// The files of a thread that has ended are root's.
	if errors.Is(err, ErrNoAddressSpace) || errors.Is(err, process.ErrDenied) && !opened {
		if dir, ok := p.OtherThread(); ok {
			return once(filepath.Join(dir, name))
		}
	}
	return err
}

func (r *Reader) readFile(p *process.Process, f *os.File, smaps bool, fn func(*VMA) error) error {
	names := exactNames{reader: r, process: p, file: f, smaps: smaps}
	defer names.close()
	r.list.names = &names
	err := r.list.each(f, smaps, fn)
	r.list.names = nil
	if r.list.stopped != nil {
		return r.list.stopped
	}
	if err != nil {
		return p.Wrap(f.Name(), err)
	}
	return r.alive(p, f)
}

// alive fails where the address space behind an open maps or smaps is gone, and the
// list that was read from it may have ended early. See the package comment.
func (r *Reader) alive(p *process.Process, f *os.File) error {
	var first [1]byte
	n, err := f.ReadAt(first[:], 0)
	switch {
	case n == 1:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return p.Wrap(f.Name(), err)
	case r.list.count == 0:
		return fmt.Errorf("%s: %w", p.Path(f.Name()), ErrNoAddressSpace)
	default:
		return fmt.Errorf("%s: %w: it ended or executed another program after %d VMAs had been read",
			p.Path(f.Name()), process.ErrGone, r.list.count)
	}
}

// exactNames undoes the escape of newlines in names. The text of the kernel has \012
// for a newline, but leaves a backslash as it is, so a file whose name really has
// those four characters looks the same. PROCMAP_QUERY and the links in map_files
// have the name as it is.
type exactNames struct {
	reader  *Reader
	process *process.Process
	file    *os.File // open maps or smaps
	smaps   bool
	maps    *os.File // opened when first needed
}

func (e *exactNames) close() {
	if e.maps != nil && e.maps != e.file {
		e.maps.Close()
	}
}

func (e *exactNames) fix(v *VMA) {
	if bytes.IndexByte(v.Name, '\\') < 0 || !bytes.Contains(v.Name, []byte(`\012`)) {
		return
	}
	if name, ok := e.queried(v); ok {
		v.Name = name
		return
	}
	link := "map_files/" + strconv.FormatUint(v.Start, 16) + "-" + strconv.FormatUint(v.End, 16)
	if name, err := e.process.Readlink(link); err == nil {
		v.Name = append(e.reader.name[:0], name...)
		return
	}
	v.Name = append(e.reader.name[:0], bytes.ReplaceAll(v.Name, []byte(`\012`), []byte("\n"))...)
}

func (e *exactNames) queried(v *VMA) ([]byte, bool) {
	if e.maps == nil {
		e.maps = e.file
		if e.smaps {
			maps, err := e.process.Open(filepath.Join(filepath.Dir(e.file.Name()), "maps"))
			if err != nil {
				return nil, false
			}
			e.maps = maps
		}
	}
	q := &e.reader.query
	if err := q.Query(e.maps, v.Start, 0, true, false); err != nil || q.Start != v.Start || q.End != v.End {
		return nil, false
	}
	e.reader.name = append(e.reader.name[:0], q.Name...)
	return e.reader.name, true
}

// Filter says which VMAs [Reader.Query] returns. The kernel applies it.
type Filter struct {
	Perm       Perm // those that have all of these
	FileBacked bool // those that map a file
}

// ErrUnsupported: the kernel is too old for this interface.
var ErrUnsupported = errors.New("not supported by this kernel")

// Query calls fn for each VMA that matches, by PROCMAP_QUERY (Linux 6.11). Names are
// exact. What the kernel lists after the process' own VMAs ([vsyscall]) is not
// found this way. On older kernels it fails with [ErrUnsupported].
func (r *Reader) Query(p *process.Process, filter Filter, fn func(*VMA) error) error {
	return withMemory(p, "maps", func(f *os.File) error { return r.queryFile(p, f, filter, fn) })
}

func (r *Reader) queryFile(p *process.Process, f *os.File, filter Filter, fn func(*VMA) error) error {
	flags := uint64(filter.Perm)&sys.ProcmapPermissionsFlags | sys.ProcmapCoveringOrNext
	if filter.FileBacked {
		flags |= sys.ProcmapFileBacked
	}
	q := &r.query
	for addr := uint64(0); ; addr = q.End {
		err := q.Query(f, addr, flags, true, false)
		if errors.Is(err, syscall.ENOENT) { // none left; a dead address space says ESRCH
			return nil
		}
		if err != nil {
			return queryError(p, f, err, addr == 0)
		}
		v := &r.list.vma
		*v = VMA{Start: q.Start, End: q.End, Perm: Perm(q.Flags & sys.ProcmapPermissionsFlags), Offset: q.Offset,
			Dev: Dev{Major: q.Major, Minor: q.Minor}, Inode: q.Inode, Name: q.Name}
		if err := fn(v); err != nil {
			return err
		}
	}
}

func queryError(p *process.Process, f *os.File, err error, first bool) error {
	switch {
	case errors.Is(err, syscall.ENOTTY):
		return fmt.Errorf("%s: PROCMAP_QUERY: %w", p.Path(f.Name()), ErrUnsupported)
	case errors.Is(err, syscall.ESRCH) && first:
		return fmt.Errorf("%s: %w", p.Path(f.Name()), ErrNoAddressSpace)
	}
	return p.Wrap(f.Name(), err)
}

// BuildID returns the build id of the file that is mapped at addr, by PROCMAP_QUERY;
// it is empty where the file has none.
func (r *Reader) BuildID(p *process.Process, addr uint64) (id []byte, err error) {
	err = withMemory(p, "maps", func(f *os.File) error {
		if err := r.query.Query(f, addr, 0, false, true); err != nil {
			return queryError(p, f, err, true)
		}
		id = r.query.BuildID
		return nil
	})
	return id, err
}

package host

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// procMemOverride infers who may write past the protection of a mapping through
// /proc/PID/mem: proc_mem.force_override= on the command line, else the default that
// the kernel was built with (Linux 6.12; every kernel before always allowed it).
func procMemOverride(config Value[Config], cmdline Value[Cmdline]) Value[string] {
	return then(config, func(c Config) (string, string, error) {
		params, err := cmdline.Get()
		if err != nil {
			return "", "", err
		}
		mode, raw := "always", c.Line("PROC_MEM_ALWAYS_FORCE")
		switch {
		case c.On("PROC_MEM_NO_FORCE"):
			mode, raw = "never", c.Line("PROC_MEM_NO_FORCE")
		case c.On("PROC_MEM_FORCE_PTRACE"):
			mode, raw = "ptrace", c.Line("PROC_MEM_FORCE_PTRACE")
		case !c.On("PROC_MEM_ALWAYS_FORCE"): // before 6.12 nothing could change it
			return mode, raw, nil
		}
		p, ok := params.Lookup("proc_mem.force_override")
		if !ok {
			return mode, raw, nil
		}
		switch p.Value {
		case "always", "ptrace", "never":
			return p.Value, p.String(), nil
		}
		return mode, raw, nil // the kernel passes over what it does not know
	}).inferred()
}

const procMemSource = "pwrite(/proc/self/mem)"

// procMemForced writes through /proc/self/mem to a page of its own that is mapped
// read-only. The control is the same write to a page that is writable: it must work, or
// the refusal says nothing.
func (s *session) procMemForced() Value[bool] {
	forced, raw, err := s.tryProcMem()
	if err != nil {
		return unknown[bool](guarantee.Probe, procMemSource, raw, err)
	}
	return known(forced, guarantee.Probe, procMemSource, raw)
}

func (s *session) tryProcMem() (forced bool, raw string, err error) {
	if err := s.experiment(); err != nil {
		return false, "", err
	}
	mem, err := os.OpenFile(s.proc("self", "mem"), os.O_RDWR, 0)
	if err != nil {
		return false, "", err
	}
	defer mem.Close()
	if err := writeOwnPage(mem, sys.ProtRead|sys.ProtWrite); err != nil {
		return false, "", fmt.Errorf("control: a writable page could not be written: %w", err)
	}
	err = writeOwnPage(mem, sys.ProtRead)
	switch {
	case err == nil:
		return true, "read-only page: written; control, writable page: written", nil
	case errors.Is(err, syscall.EIO):
		return false, "read-only page: EIO; control, writable page: written", nil
	}
	return false, "", err
}

// writeOwnPage maps a page with the given protection, writes to it through mem, and
// fails unless the byte is there afterwards.
func writeOwnPage(mem *os.File, protection int) error {
	page, err := sys.Mmap(os.Getpagesize(), protection, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	const mark = 0xa5
	_, err = mem.WriteAt([]byte{mark}, int64(sys.Addr(page)))
	if err == nil && page[0] != mark {
		err = errors.New("the write returned without an error and changed nothing")
	}
	return errors.Join(err, sys.Munmap(page))
}

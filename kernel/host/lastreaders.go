package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// LastReaders is what can read, or write, memory of any process, past every mapping:
// requirement SV-KCT-01.
type LastReaders struct {
	// Kcore is /proc/kcore: the kernel's address space as a file, with the linear map
	// of all memory in it.
	Kcore Device `fact:"kcore"`
	// Mem is physical memory (mem(4)), Kmem the kernel's (gone since Linux 5.13), Port
	// the I/O ports.
	Mem  Device `fact:"dev_mem"`
	Kmem Device `fact:"dev_kmem"`
	Port Device `fact:"dev_port"`
	// ProcMemOverride is who may write to memory that is not writable through
	// /proc/PID/mem: "always", "ptrace" or "never", by the configuration and the command
	// line.
	ProcMemOverride Value[string] `fact:"proc_mem_override"`
	// ProcMemForced is whether that worked, on a page of the reader's own.
	ProcMemForced Value[bool] `fact:"proc_mem_forced"`
	// Uprobes and Kprobes are the probes that are defined through tracefs. Those that
	// perf_event_open(2) or BPF made are not in its list.
	Uprobes Value[[]ProbeEvent] `fact:"uprobes"`
	Kprobes Value[[]ProbeEvent] `fact:"kprobes"`
	// BPF is the BPF programs that are loaded.
	BPF Value[[]BPFProgram] `fact:"bpf"`
}

// Device is a way to memory that is opened like a file.
type Device struct {
	// Node is whether the file is there.
	Node Value[bool] `fact:"node"`
	// Driver is whether the kernel has what stands behind it, so that a node could be
	// made.
	Driver Value[bool] `fact:"driver"`
	// Opens is whether it could be opened for reading. A refusal for want of rights is
	// unknown: others may have them.
	Opens Value[bool] `fact:"opens"`
}

func (s *session) lastReaders(f *Facts) {
	locked := f.Security.Lockdown
	f.LastReaders = LastReaders{
		Kcore:           s.kcore(locked),
		Mem:             s.device("mem", 1, locked),
		Kmem:            s.device("kmem", 2, locked),
		Port:            s.device("port", 4, locked),
		ProcMemOverride: procMemOverride(f.Kernel.Config, f.Kernel.Cmdline),
		ProcMemForced:   s.procMemForced(),
		Uprobes:         readPseudo(s, tracefs, "uprobe_events", whole(parseProbeEvents)),
		Kprobes:         readPseudo(s, tracefs, "kprobe_events", whole(parseProbeEvents)),
		BPF:             s.bpfPrograms(),
	}
}

// kcore: a proc file system that is mounted to show processes alone (subset=pid) hides
// it, as it hides meminfo; and containers have something else mounted in its place.
func (s *session) kcore(locked Value[Choice]) Device {
	path := s.proc("kcore")
	node := exists(path)
	if whole := exists(s.proc("meminfo")); node.Known() && !node.V && !(whole.Known() && whole.V) {
		node = unknown[bool](guarantee.Read, path, node.Raw, fmt.Errorf("%w: %s shows processes alone", ErrAbsent, s.Proc))
	}
	check := func(info os.FileInfo) error {
		if !info.Mode().IsRegular() {
			return malformed("%s is not a regular file: something is mounted over it", path)
		}
		return nil
	}
	driver := node
	if info, err := os.Stat(path); err == nil && check(info) != nil {
		driver = unknown[bool](guarantee.Read, path, info.Mode().String(), check(info))
	}
	return Device{Node: node, Driver: driver, Opens: s.opens(path, node, check, refuses(locked, "confidentiality"))}
}

func (s *session) device(name string, minor uint32, locked Value[Choice]) Device {
	path := filepath.Join(s.Dev, name)
	class := s.sysfs("class", "mem")
	driver := exists(filepath.Join(class, name))
	if there := exists(class); !there.Known() || !there.V {
		driver = unknown[bool](guarantee.Read, class, "", errors.Join(ErrAbsent, there.Err))
	}
	node := exists(path)
	check := func(info os.FileInfo) error { return isMemoryDevice(path, info, minor) }
	return Device{Node: node, Driver: driver, Opens: s.opens(path, node, check, refuses(locked, "integrity"))}
}

// isMemoryDevice checks that a node is what its name says
// (Documentation/admin-guide/devices.txt): opening another device could do something.
func isMemoryDevice(path string, info os.FileInfo, minor uint32) error {
	const memory = 1 // major number
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeCharDevice == 0 {
		return malformed("%s is not a character device", path)
	}
	if got := uint64(st.Rdev); sys.Major(got) != memory || sys.Minor(got) != minor {
		return malformed("%s is device %d:%d, and not %d:%d", path, sys.Major(got), sys.Minor(got), memory, minor)
	}
	return nil
}

// refuses reports whether the lockdown mode is known, and one that refuses what the
// given mode refuses.
func refuses(locked Value[Choice], mode string) bool {
	return locked.Known() && lockdownRank(locked.V.Selected) >= lockdownRank(mode)
}

// opens tries to open the file for reading, and reads nothing. A refusal says that
// nobody can open it where the reader has every right and the lockdown mode explains
// it; a cgroup or another module could refuse this reader alone.
func (s *session) opens(path string, node Value[bool], check func(os.FileInfo) error, refused bool) Value[bool] {
	source := "open(" + path + ")"
	if err := s.experiment(); err != nil {
		return unknown[bool](guarantee.Probe, source, "", err)
	}
	if there, err := node.Get(); err != nil {
		return unknown[bool](guarantee.Probe, source, "", err)
	} else if !there {
		return known(false, guarantee.Probe, source, "ENOENT")
	}
	err := tryOpen(path, check)
	switch {
	case err == nil:
		return known(true, guarantee.Probe, source, "opened")
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return known(false, guarantee.Probe, source, err.Error())
	case errors.Is(err, syscall.EPERM) && s.privileged && refused:
		return known(false, guarantee.Probe, source, err.Error())
	}
	return unknown[bool](guarantee.Probe, source, err.Error(), err)
}

func tryOpen(path string, check func(os.FileInfo) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := check(info); err != nil {
		return err
	}
	file, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdonly|syscall.O_NONBLOCK|syscall.O_NOCTTY)
	if err != nil {
		return err
	}
	return file.Close()
}

package process

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Info says who a process is. What the reader was not allowed to see is listed in
// Hidden, and is zero.
type Info struct {
	PID  int
	PPID int
	// StartTime is in clock ticks since boot: with the PID it names one process for
	// as long as the kernel runs.
	StartTime uint64
	// Comm is the command name, at most 15 bytes, any bytes.
	Comm  string
	State byte // R, S, D, Z, …: proc_pid_stat(5)
	// StackStart is where its stack begins; with Exe it tells whether the process has
	// executed a program since. 0 where that is hidden.
	StackStart uint64
	// Exiting: its first thread is ending, and may have given up its memory already.
	Exiting bool
	// KernelThread: it has no address space of its own and never had one.
	KernelThread bool
	UID, EUID    uint32
	GID, EGID    uint32
	Threads      int
	// VmLck and VmSize are in bytes, as /proc/PID/status says them.
	VmSize, VmLck uint64
	NoNewPrivs    bool
	Seccomp       int    // 0 none, 1 strict, 2 filter
	CapEff        uint64 // effective capabilities
	OOMScoreAdj   int
	// Cgroup is the path in the v2 hierarchy, and where there is none, of the memory
	// controller's v1 hierarchy.
	Cgroup string
	// Exe is the path of the program that it runs, as readlink(2) of exe says it, with
	// the suffix " (deleted)" where it has one.
	Exe string
	// PIDNamespace is the inode number of its PID namespace.
	PIDNamespace uint64
	// Hidden names the files that could not be read, with the reason.
	Hidden []Hidden
}

// Hidden is a file of a process that could not be read.
type Hidden struct {
	File string
	Err  error
}

// Zombie reports whether the process has ended and only waits to be reaped.
func (i *Info) Zombie() bool { return i.State == 'Z' || i.State == 'X' }

// Info reads who the process is. It fails where the process is gone or /proc/PID/stat
// and status make no sense; what needs more rights than they do ends up in
// [Info.Hidden].
func (p *Process) Info() (Info, error) {
	info, err := p.Glance()
	if err != nil {
		return info, err
	}
	if err := p.parse("status", info.parseStatus); err != nil {
		return info, err
	}
	info.optional("cgroup", p.parse("cgroup", info.parseCgroup))
	info.optional("oom_score_adj", p.parse("oom_score_adj", func(b []byte) (err error) {
		info.OOMScoreAdj, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err
	}))
	if info.KernelThread {
		return info, nil
	}
	ns, err := p.Stat(filepath.Join(p.living(&info), "ns/pid"))
	info.PIDNamespace = ns.Ino
	info.optional("ns/pid", err)
	return info, nil
}

// Glance reads of [Process.Info] what stat and exe say, and nothing else: enough to tell,
// at a fraction of the cost, whether the process lives and runs what it ran before.
func (p *Process) Glance() (Info, error) {
	info := Info{PID: p.PID}
	if err := p.parse("stat", info.parseStat); err != nil || info.KernelThread {
		return info, err
	}
	exe, err := p.Readlink(filepath.Join(p.living(&info), "exe"))
	info.Exe = exe
	info.optional("exe", err)
	return info, nil
}

// living returns the directory of a thread that lives: when the first one has ended, what
// it had is with the others.
func (p *Process) living(info *Info) (dir string) {
	if info.Zombie() {
		dir, _ = p.OtherThread()
	}
	return dir
}

// StartTime reads field 22 of /proc/PID/stat alone.
func (p *Process) StartTime() (uint64, error) {
	var info Info
	err := p.parse("stat", info.parseStat)
	return info.StartTime, err
}

func (i *Info) optional(file string, err error) {
	if err != nil {
		i.Hidden = append(i.Hidden, Hidden{File: file, Err: err})
	}
}

// ReadFile returns the content of a file of the process.
func (p *Process) ReadFile(name string) ([]byte, error) {
	b, err := p.read(name, nil)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// read reads a file into b, which grows where it must. One page takes what is read of
// most processes, in a single read.
func (p *Process) read(name string, b []byte) ([]byte, error) {
	f, err := p.Open(name)
	if err != nil {
		return b, err
	}
	defer f.Close()
	for b = b[:0]; ; {
		if len(b) == cap(b) {
			b = slices.Grow(b, 4096)
		}
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, p.Wrap(name, err)
		}
	}
}

func (p *Process) parse(name string, parse func([]byte) error) error {
	b, err := p.read(name, p.scratch)
	p.scratch = b
	if err != nil {
		return err
	}
	if err := parse(b); err != nil {
		return fmt.Errorf("%s: %w: %w", p.Path(name), ErrMalformed, err)
	}
	return nil
}

// Flags of a task: include/linux/sched.h.
const (
	pfExiting = 0x00000004 // PF_EXITING
	pfKthread = 0x00200000 // PF_KTHREAD
)

// parseStat parses /proc/PID/stat. The command name may hold anything, also spaces
// and parentheses: it ends at the last one.
func (i *Info) parseStat(b []byte) error {
	open, last := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || last < open {
		return fmt.Errorf("no command name in parentheses")
	}
	fields := strings.Fields(string(b[last+1:]))
	const start = 22 - 3 // the first field after the name is number 3
	if len(fields) <= start || len(fields[0]) != 1 {
		return fmt.Errorf("%d fields after the command name, want at least %d", len(fields), start+1)
	}
	var err error
	if i.PPID, err = strconv.Atoi(fields[4-3]); err != nil {
		return fmt.Errorf("field 4: %w", err)
	}
	flags, err := strconv.ParseUint(fields[9-3], 10, 64)
	if err != nil {
		return fmt.Errorf("field 9: %w", err)
	}
	if i.StartTime, err = strconv.ParseUint(fields[start], 10, 64); err != nil {
		return fmt.Errorf("field 22: %w", err)
	}
	if len(fields) > 28-3 {
		if i.StackStart, err = strconv.ParseUint(fields[28-3], 10, 64); err != nil {
			return fmt.Errorf("field 28: %w", err)
		}
	}
	i.Comm = string(b[open+1 : last])
	i.State = fields[0][0]
	i.KernelThread = flags&pfKthread != 0
	i.Exiting = flags&pfExiting != 0
	return nil
}

// parseStatus parses the fields of /proc/PID/status that Info has.
func (i *Info) parseStatus(b []byte) error {
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte{':'})
		if !ok {
			return fmt.Errorf("line %q has no colon", line)
		}
		if err := i.setStatus(key, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (i *Info) setStatus(key, value []byte) error {
	number := func(n, base int) (uint64, error) {
		fields := strings.Fields(string(value))
		if len(fields) <= n {
			return 0, fmt.Errorf("%d values, want %d", len(fields), n+1)
		}
		return strconv.ParseUint(fields[n], base, 64)
	}
	ids := func(real, effective *uint32) error {
		r, err := number(0, 10)
		if err != nil {
			return err
		}
		e, err := number(1, 10)
		*real, *effective = uint32(r), uint32(e)
		return err
	}
	var v uint64
	var err error
	switch string(key) {
	case "Uid":
		return ids(&i.UID, &i.EUID)
	case "Gid":
		return ids(&i.GID, &i.EGID)
	case "Threads":
		v, err = number(0, 10)
		i.Threads = int(v)
	case "VmSize":
		v, err = number(0, 10)
		i.VmSize = v << 10
	case "VmLck":
		v, err = number(0, 10)
		i.VmLck = v << 10
	case "NoNewPrivs":
		v, err = number(0, 10)
		i.NoNewPrivs = v != 0
	case "Seccomp":
		v, err = number(0, 10)
		i.Seccomp = int(v)
	case "CapEff":
		i.CapEff, err = number(0, 16)
	}
	return err
}

// parseCgroup parses /proc/PID/cgroup: lines of "id:controllers:path"
// (cgroups(7)). The path is the rest of the line.
func (i *Info) parseCgroup(b []byte) error {
	var memory string
	for line := range strings.Lines(string(b)) {
		id, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 {
			return fmt.Errorf("line %q is not id:controllers:path", line)
		}
		if id == "0" && controllers == "" && i.Cgroup == "" {
			i.Cgroup = path
		}
		if slices.Contains(strings.Split(controllers, ","), "memory") {
			memory = path
		}
	}
	if (i.Cgroup == "" || i.Cgroup == "/") && memory != "" {
		i.Cgroup = memory
	}
	return nil
}

func sorted(pids []int) []int {
	slices.Sort(pids)
	return pids
}

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// processFacts turns what was read of a process into facts.
func processFacts(s *subject) *rules.Process {
	i := &s.info
	f := &rules.Process{
		PID: int64(i.PID), PPID: int64(i.PPID), Name: s.name(), Exe: guarantee.Text(i.Exe),
		ExeDeleted: s.exeGone && s.running == nil, ExeMemfd: s.running != nil,
		UID: int64(i.UID), EUID: int64(i.EUID), Cgroup: guarantee.Text(i.Cgroup), Declared: s.declared,
		Threads: int64(i.Threads), VMACount: int64(s.vmas), VMSize: int64(i.VmSize), RSS: int64(s.mem.Rss), Locked: int64(i.VmLck),
		OOMScoreAdj: int64(i.OOMScoreAdj), NoNewPrivs: i.NoNewPrivs, Seccomp: int64(i.Seccomp), CapEff: int64(i.CapEff),
		PIDNamespace: int64(i.PIDNamespace), Dumpable: s.dumpable, Unknown: map[string]string{},
	}
	if s.err != nil {
		f.Unknown = rules.Unread(why(s.err), "vma_count", "rss")
	}
	if s.dumpableErr != nil {
		f.Unknown["dumpable"] = why(s.dumpableErr)
	}
	if s.exeErr != nil {
		f.Unknown["exe_deleted"], f.Unknown["exe_memfd"] = why(s.exeErr), why(s.exeErr)
	}
	for _, h := range i.Hidden {
		for _, name := range rules.Sources(rules.SubjectProcess, h.File) {
			f.Unknown[name] = why(h.Err)
		}
	}
	return f
}

var (
	errSameOwner = errors.New("the files of a process of root belong to root either way")
	errOtherUser = errors.New("it is in another user namespace, whose root is not known")
)

// readDumpable: the kernel gives the files of a process that can't be dumped to root of
// its user namespace (PR_SET_DUMPABLE(2const)).
func (s *subject) readDumpable() {
	owner, err := s.process.Stat("stat")
	if err != nil {
		s.dumpableErr = err
		return
	}
	theirs, err := s.process.Stat("ns/user")
	if err != nil {
		s.dumpableErr = err
		return
	}
	ours, err := os.Stat("/proc/self/ns/user")
	if err != nil {
		s.dumpableErr = err
		return
	}
	switch st, ok := ours.Sys().(*syscall.Stat_t); {
	case s.info.EUID == 0:
		s.dumpableErr = errSameOwner
	case !ok || st.Ino != theirs.Ino:
		s.dumpableErr = errOtherUser
	default:
		s.dumpable, s.dumpableErr = owner.UID == s.info.EUID, nil
	}
}

// vmaFacts turns a candidate into facts.
func (a *auditor) vmaFacts(c *candidate) *rules.VMA {
	f := &rules.VMA{Unknown: map[string]string{}}
	f.Set(&c.vma, c.kind)
	f.Deleted = c.deleted
	if c.present == nil {
		c.unread(f, c.presentErr, "present_pages", "absent_pages", "guard_pages")
	} else {
		f.PresentPages, f.AbsentPages, f.GuardPages = int64(c.present.present), int64(c.present.absent), int64(c.present.guard)
	}
	if c.foreign == nil {
		c.unread(f, c.foreignErr, "foreign_pages", "foreign_owners")
	} else {
		f.ForeignPages, f.ForeignOwners = int64(c.foreign.count), c.foreign.owners
	}
	if file := a.inventory.Lookup(memfdID(&c.vma)); file == nil || file.AttributesErr != nil {
		f.Unknown["file_executable"] = "the mode of the file is not known"
	} else {
		f.FileExecutable = file.Executable()
	}
	return f
}

func memfdID(v *vma.VMA) memfd.ID {
	return memfd.ID{Device: memfd.Device{Major: v.Dev.Major, Minor: v.Dev.Minor}, Inode: v.Inode}
}

func (c *candidate) unread(f *rules.VMA, err error, names ...string) {
	reason := "not counted"
	if err != nil {
		reason = why(err)
	}
	for _, name := range names {
		f.Unknown[name] = reason
	}
}

// observed returns the raw lines of smaps that a rule looks at: the header, the amounts
// that it needs, the flags.
func (c *candidate) observed(r *rules.Rule) string {
	var lines []string
	wanted := amounts(r)
	for line := range bytes.Lines(c.vma.Raw) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		key, _, isField := bytes.Cut(line, []byte{':'})
		if len(lines) == 0 || isField && slices.Contains(wanted, string(key)) {
			lines = append(lines, guarantee.Text(line))
		}
	}
	if c.foreign != nil && c.foreign.count > 0 && r.NeedsSource(rules.SubjectVMA, "kpagecount") {
		lines = append(lines, c.foreign.raw)
	}
	if c.present != nil && r.NeedsSource(rules.SubjectVMA, "pagemap") {
		lines = append(lines, fmt.Sprintf("pagemap: %d pages present, %d absent, %d guards", c.present.present, c.present.absent, c.present.guard))
	}
	return strings.Join(lines, "\n")
}

// amounts returns the fields of smaps that prove what a rule says.
func amounts(r *rules.Rule) []string {
	fields := []string{"VmFlags"}
	for _, need := range r.Needs() {
		switch need {
		case "vma.rss", "vma.resident", "vma.locked":
			fields = append(fields, "Size", "Rss", "Locked")
		case "vma.swap":
			fields = append(fields, "Swap")
		case "vma.ksm":
			fields = append(fields, "KSM")
		case "vma.anonymous":
			fields = append(fields, "Anonymous")
		}
	}
	return fields
}

// observed returns what was read of a process that a rule looks at.
func (s *subject) observed(r *rules.Rule) string {
	f := processFacts(s)
	var seen []string
	for _, need := range r.Needs() {
		name, ok := strings.CutPrefix(need, "process.")
		if !ok {
			continue
		}
		if reason, hidden := f.Unknown[name]; hidden {
			seen = appendNew(seen, name+": unknown: "+reason)
			continue
		}
		if text := s.rawOf(name); text != "" {
			seen = appendNew(seen, text)
		}
	}
	return strings.Join(seen, "\n")
}

// rawOf returns a fact of a process as it was read: the name, the value, and the file.
func (s *subject) rawOf(name string) string {
	i := &s.info
	switch name {
	case "exe", "exe_deleted", "exe_memfd":
		return "exe -> " + guarantee.Text(i.Exe)
	case "vma_count":
		return fmt.Sprintf("%d VMAs in smaps, without [vsyscall]", s.vmas)
	case "oom_score_adj":
		return fmt.Sprintf("oom_score_adj = %d", i.OOMScoreAdj)
	case "locked":
		return fmt.Sprintf("status: VmLck = %d kB", i.VmLck>>10)
	case "dumpable":
		return fmt.Sprintf("dumpable = %v, by the owner of %s", s.dumpable, s.path("stat"))
	case "no_new_privs":
		return fmt.Sprintf("status: NoNewPrivs = %v", i.NoNewPrivs)
	case "seccomp":
		return fmt.Sprintf("status: Seccomp = %d", i.Seccomp)
	case "cap_eff":
		return fmt.Sprintf("status: CapEff = %016x", i.CapEff)
	case "uid", "euid":
		return fmt.Sprintf("status: Uid = %d, effective %d", i.UID, i.EUID)
	case "pid", "ppid", "name":
		return fmt.Sprintf("stat: %d (%s), parent %d", i.PID, s.name(), i.PPID)
	case "cgroup":
		return "cgroup = " + guarantee.Text(i.Cgroup)
	case "threads":
		return fmt.Sprintf("status: Threads = %d", i.Threads)
	case "vm_size":
		return fmt.Sprintf("status: VmSize = %d kB", i.VmSize>>10)
	case "rss":
		return fmt.Sprintf("smaps: Rss = %d kB in all VMAs", s.mem.Rss>>10)
	case "pid_namespace":
		return fmt.Sprintf("ns/pid -> pid:[%d]", i.PIDNamespace)
	}
	return ""
}

// why says in short why something of a process is not known. A refusal is the same for
// all its files; anything else needs the whole text.
func why(err error) string {
	if errors.Is(err, process.ErrDenied) {
		return process.ErrDenied.Error()
	}
	return guarantee.Text(err.Error())
}

// path names a file of the process in observations.
func (s *subject) path(file string) string { return filepath.Join(s.dir, file) }

// subject names a process in a verdict.
func (s *subject) subject() guarantee.Subject {
	return guarantee.Subject{Kind: guarantee.KindProcess, PID: s.info.PID, StartTime: s.info.StartTime, Name: s.name(), UID: &s.info.EUID,
		Exe: guarantee.Text(s.info.Exe), Cgroup: guarantee.Text(s.info.Cgroup), Declared: s.declared}
}

func now() time.Time { return time.Now().UTC() }

func hexadecimal(n uint64) string { return strconv.FormatUint(n, 16) }

package guard

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// outside reads what the kernel says of the program to others. The same reading of this process, which
// is under no rule, is the control.
func (l *launcher) outside(r Rule) (finding, bool) {
	switch r {
	case ProcReadOnly:
		return l.procs(), true
	case NoExecFolders:
		return l.folders(), true
	case MemoryGroup:
		return l.inGroup(), true
	case AddressSpace:
		return l.line("limits", "Max address space", func(line string) bool {
			f := strings.Fields(strings.TrimPrefix(line, "Max address space"))
			return len(f) > 1 && f[1] == strconv.FormatInt(l.config.Settings.AddressSpace, 10)
		}), true
	case OOMScore:
		return l.line("oom_score_adj", "", func(line string) bool { return line == strconv.Itoa(l.config.Settings.OOMScore) }), true
	case NUMA:
		bound := " bind:" + ranges(l.config.Settings.Nodes)
		return l.line("numa_maps", "", func(line string) bool { return strings.Contains(line+" ", bound+" ") }), true
	case NoPrivileges:
		return l.privileges(), true
	case Lock:
		return l.locked(), true
	}
	return finding{}, false
}

// ranges writes numbers as the kernel writes sets: 0-2,5 (bitmap_parselist).
func ranges(numbers []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(numbers)))
	var all []string
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		part := strconv.Itoa(sorted[i])
		if end > i {
			part += "-" + strconv.Itoa(sorted[end])
		}
		all, i = append(all, part), end+1
	}
	return strings.Join(all, ",")
}

// own is this process, for controls.
const own = "self"

func (l *launcher) pid() string { return strconv.Itoa(l.launch.PID) }

// readLine returns the first line of a file of a process that begins with a prefix.
func readLine(pid, file, prefix string) (string, error) {
	f, err := os.Open("/proc/" + pid + "/" + file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), prefix) {
			return s.Text(), nil
		}
	}
	return "", errors.Join(s.Err(), fmt.Errorf("%s: no line %q", f.Name(), prefix))
}

// line holds a line about the program against what it should say.
func (l *launcher) line(file, prefix string, right func(string) bool) finding {
	f := finding{status: guarantee.Broken, method: guarantee.Read, source: "/proc/" + l.pid() + "/" + file}
	line, err := readLine(l.pid(), file, prefix)
	if err != nil {
		return unknown(err.Error())
	}
	f.raw = []string{line}
	f.control = controlLine(file, prefix, right)
	if right(line) {
		f.status = guarantee.Holds
	}
	return f.believed()
}

func controlLine(file, prefix string, right func(string) bool) guarantee.Control {
	line, err := readLine(own, file, prefix)
	switch {
	case err != nil:
		return guarantee.Control{Status: guarantee.ControlAbsent, Detail: err.Error()}
	case right(line):
		return guarantee.Control{Status: guarantee.ControlFailed, Detail: "of the launcher, which is not confined, it says the same: " + line}
	}
	return guarantee.Control{Status: guarantee.ControlPassed, Detail: "of the launcher: " + line}
}

// believed takes back what holds without a control.
func (f finding) believed() finding {
	if f.status == guarantee.Holds && f.control.Status != guarantee.ControlPassed {
		f.status, f.why = guarantee.Unknown, "nothing shows that the reading can say anything else: "+f.control.Detail
	}
	return f
}

// privileges holds when there are no capabilities, and there can't be.
func (l *launcher) privileges() finding {
	keep := uint64(0)
	if l.config.Settings.on(Lock) && os.Geteuid() == 0 {
		keep = 1 << sys.CapIPCLock // CAP_IPC_LOCK, without which root too is held to the lock limit
	}
	zero := func(line string) bool {
		_, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		return err == nil && n&^keep == 0
	}
	f := l.line("status", "NoNewPrivs:", func(line string) bool { return strings.HasSuffix(line, "\t1") })
	for _, prefix := range []string{"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"} {
		line, err := readLine(l.pid(), "status", prefix)
		if err != nil {
			return unknown(err.Error())
		}
		f.raw = append(f.raw, line)
		if !zero(line) {
			f.status = guarantee.Broken
		}
	}
	return f
}

// mount holds when what is mounted last at a place has an option. What this process sees there has not.
func (l *launcher) mount(place, option string) finding {
	f := finding{status: guarantee.Broken, method: guarantee.Read, source: "/proc/" + l.pid() + "/mountinfo"}
	line, err := mountOf(l.pid(), place)
	if err != nil {
		return unknown(err.Error())
	}
	f.raw = []string{line}
	if mountHas(line, option) {
		f.status = guarantee.Holds
	}
	ownLine, err := mountOf(own, place)
	switch {
	case err != nil: // it is no mount there
		f.control = guarantee.Control{Status: guarantee.ControlPassed, Detail: "of the launcher: " + err.Error()}
	case mountHas(ownLine, option):
		f.control = guarantee.Control{Status: guarantee.ControlFailed, Detail: "of the launcher it says the same: " + ownLine}
		if f.status == guarantee.Holds { // the host has it so already
			f.control = guarantee.Control{Status: guarantee.ControlPassed, Detail: "the root of the launcher, which is not: " + rootMount()}
		}
	default:
		f.control = guarantee.Control{Status: guarantee.ControlPassed, Detail: "of the launcher: " + ownLine}
	}
	return f.believed()
}

func rootMount() string {
	line, _ := mountOf(own, "/")
	return line
}

// mountOf returns the last line of a mountinfo about a place.
func mountOf(pid, place string) (last string, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 5 && escapes.Replace(f[4]) == place {
			last = strings.TrimSuffix(line, "\n")
		}
	}
	if last == "" {
		return "", fmt.Errorf("nothing is mounted at %s", place)
	}
	return last, nil
}

func mountHas(line, option string) bool {
	f := strings.Fields(line)
	for _, o := range strings.Split(f[5], ",") {
		if o == option {
			return true
		}
	}
	return false
}

// folders holds when all of them that there are have noexec.
func (l *launcher) folders() finding {
	var all finding
	for _, folder := range places(l.config.Settings.Folders) {
		f := l.mount(folder, "noexec")
		raw := append(all.raw, f.raw...)
		if all.status == "" || f.status != guarantee.Holds {
			all = f
		}
		all.raw = raw
		if f.status != guarantee.Holds {
			return all
		}
	}
	if all.status == "" {
		return unknown("none of the folders is there")
	}
	if where := l.under(); where != "" {
		all.status = guarantee.Broken
		all.raw = append(all.raw, "the working directory "+where+" is below the mount")
	}
	return all
}

// procs holds when the program sees no proc file system that it can write to.
func (l *launcher) procs() finding {
	f := l.mount("/proc", "ro")
	places, err := procPlaces(l.pid())
	if err != nil {
		return unknown(err.Error())
	}
	for place, line := range places {
		if !strings.HasPrefix(place, "/proc/") && !mountHas(line, "ro") && f.status == guarantee.Holds {
			f.status, f.raw = guarantee.Broken, append(f.raw, line)
		}
	}
	return f
}

// under returns the working directory of the program where that is in one of the folders, and not on
// their mounts.
func (l *launcher) under() string {
	link := "/proc/" + l.pid() + "/cwd"
	where, err := os.Readlink(link)
	if err != nil {
		return err.Error()
	}
	for _, folder := range places(l.config.Settings.Folders) {
		if where != folder && !strings.HasPrefix(where, folder+"/") {
			continue
		}
		if noexec, err := sys.NoExecMount(link); err != nil || !noexec {
			return where
		}
	}
	return ""
}

func (l *launcher) inGroup() finding {
	if l.group == nil {
		return unknown("it has no cgroup")
	}
	raw, ok, err := l.group.hold()
	if err != nil {
		return unknown(err.Error())
	}
	f := finding{status: guarantee.Broken, method: guarantee.Read, source: l.group.Dir(), raw: raw}
	text, err := os.ReadFile("/proc/" + l.pid() + "/cgroup")
	if err != nil {
		return unknown(err.Error())
	}
	name := l.group.Dir()[strings.LastIndex(l.group.Dir(), "/"):]
	f.raw = append(f.raw, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	mine, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || strings.Contains(string(mine), name+"\n") {
		return unknown("the launcher is in the same cgroup")
	}
	f.control = guarantee.Control{Status: guarantee.ControlPassed, Detail: "the launcher is not in " + name[1:]}
	if ok && strings.Contains(string(text), name+"\n") {
		f.status, f.why = guarantee.Holds, l.group.does()
	}
	return f
}

// locked holds when all VMAs of the program that the kernel locks at all are locked.
func (l *launcher) locked() finding {
	f := finding{status: guarantee.Broken, method: guarantee.Read, source: "/proc/" + l.pid() + "/smaps"}
	total, unlocked, err := lockedIn(l.launch.PID)
	if err != nil {
		return unknown(err.Error())
	}
	f.raw = []string{fmt.Sprintf("%d VMAs, of which %d have no VmFlags lo", total, len(unlocked))}
	f.raw = append(f.raw, unlocked...)
	if len(unlocked) == 0 && total > 0 {
		f.status = guarantee.Holds
	}
	mine, not, err := lockedIn(os.Getpid())
	f.control = guarantee.Control{Status: guarantee.ControlPassed, Detail: fmt.Sprintf("of the launcher %d of %d have none", len(not), mine)}
	if err != nil || len(not) == 0 {
		f.control.Status = guarantee.ControlFailed
	}
	return f.believed()
}

// lockedIn lists VMAs without a lock. Those of the kernel itself, such as the vDSO, are not locked
// (VM_SPECIAL, mlock(2)): they are always there.
func lockedIn(pid int) (total int, unlocked []string, err error) {
	p, err := process.Default().Open(pid)
	if err != nil {
		return 0, nil, err
	}
	defer p.Close()
	var reader vma.Reader
	err = reader.Smaps(p, func(v *vma.VMA) error {
		if strings.HasPrefix(string(v.Name), "[v") {
			return nil
		}
		total++
		if v.Flags&vma.FlagLocked == 0 {
			unlocked = append(unlocked, fmt.Sprintf("%x-%x %s", v.Start, v.End, guarantee.Text(v.Name)))
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return total, unlocked, nil
}

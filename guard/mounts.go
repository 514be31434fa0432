package guard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

// mounts makes the mount namespace what the program is to see. A process stays where it is when
// something is mounted over it: the working directory is entered anew, by its name.
func mounts(w *wire, o *order) error {
	s := &o.Settings
	if !s.contained() && !o.Alone {
		return nil
	}
	if err := standardFiles(o); err != nil {
		return err
	}
	where, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("the working directory has no name: start it in another one: %w", err)
	}
	if err := sys.MountPrivate(); err != nil {
		return err
	}
	if o.applies(NoExecFolders) {
		w.step(NoExecFolders, fmt.Sprint(s.Folders), noExec(s.Folders))
	}
	err = sys.MountProc("/proc", o.applies(ProcReadOnly))
	if o.applies(ProcReadOnly) {
		err = errors.Join(err, otherProcs())
	}
	switch {
	case s.on(ProcReadOnly):
		w.step(ProcReadOnly, "", err)
	case err != nil:
		return err // without one of its own, /proc shows other processes under the program's numbers
	}
	if err := os.Chdir(where); err != nil {
		return fmt.Errorf("the working directory is not there for the program: start it in another one: %w", err)
	}
	return nil
}

// standardFiles refuses standard descriptors that are on mounts under no rule: folders, by which openat(2)
// reaches all that is below, and programs, which [watcher] lets nobody hold who executes something.
func standardFiles(o *order) error {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.IsDir():
			return fmt.Errorf("%s is a folder, which leads around the rules: redirect it elsewhere", f.Name())
		case o.applies(MemfdWatch) && info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			return fmt.Errorf("%s is a file that can be executed, which leads around the rules: redirect it elsewhere", f.Name())
		}
	}
	return nil
}

// mountIDs are the numbers of all mounts that the program sees, for good: it can't mount anything. What was
// opened before they were made is on others, without their options. Nil where it sees what others see.
func (o *order) mountIDs() (map[uint64]bool, error) {
	if !o.Settings.contained() && !o.Alone {
		return nil, nil
	}
	root, err := sys.MountIDAt("/") // not listed where it is no mount, but a folder that chroot(2) made one
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	all := map[uint64]bool{root: true}
	for line := range strings.Lines(string(text)) {
		number, _, _ := strings.Cut(line, " ")
		id, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/proc/self/mountinfo: %w", err)
		}
		all[id] = true
	}
	return all, nil
}

func noExec(folders []string) (err error) {
	for _, f := range places(folders) {
		if e := sys.MountNoExec(f); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f, e))
		}
	}
	return err
}

// places are where folders are, through symbolic links, as the kernel names mounts. Of those for temporary files
// not every machine has all. One that somebody declared is to be there: who makes it later could execute what
// is in it.
func places(folders []string) (all []string) {
	for _, f := range folders {
		real, err := filepath.EvalSymlinks(f)
		switch {
		case err == nil:
			f = real
		case errors.Is(err, os.ErrNotExist) && slices.Contains(temporary, f):
			continue
		}
		all = append(all, f)
	}
	return all
}

// otherProcs makes what is mounted of proc elsewhere read-only too. What was below /proc is hidden by the
// new one.
func otherProcs() error {
	places, err := procPlaces("self")
	for place, line := range places {
		if place == "/proc" || strings.HasPrefix(place, "/proc/") || mountHas(line, "ro") {
			continue
		}
		if e := sys.MountReadOnly(place); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", place, e))
		}
	}
	return err
}

// procPlaces are the places where a process sees a proc file system, with the line of its mountinfo
// about what was mounted there last (proc_pid_mountinfo(5)).
func procPlaces(pid string) (map[string]string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	last := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		_, kind, _ := strings.Cut(line, " - ")
		if len(f) < 6 {
			continue
		}
		place := escapes.Replace(f[4])
		if delete(last, place); strings.HasPrefix(kind, "proc ") {
			last[place] = strings.TrimSuffix(line, "\n")
		}
	}
	return last, nil
}

// escapes are how mountinfo writes what would end a field.
var escapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

package audit

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/safevma/safevma/kernel/process"
)

// Selector picks processes by one property.
type Selector struct {
	key, value string
	number     uint64
}

const selectorForms = "pid=N, name=PATTERN, exe=PATTERN, cgroup=PATH or uid=N"

// ParseSelector parses a selector:
//
//	pid=812              the process with that id
//	name=brake*          processes whose command name matches the pattern (path.Match)
//	exe=/usr/sbin/brake  processes whose program's path matches the pattern
//	cgroup=/safety.slice processes in that cgroup or below it
//	uid=1000             processes with that effective user id
func ParseSelector(s string) (Selector, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || value == "" {
		return Selector{}, fmt.Errorf("selector %q: want %s", s, selectorForms)
	}
	sel := Selector{key: key, value: value}
	var err error
	switch key {
	case "pid", "uid":
		sel.number, err = strconv.ParseUint(value, 10, 32)
	case "name", "exe":
		_, err = path.Match(value, "")
	case "cgroup":
		sel.value = path.Clean("/" + value)
	default:
		return Selector{}, fmt.Errorf("selector %q: there is no property %q; want %s", s, key, selectorForms)
	}
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %q is no %s", s, value, map[string]string{"pid": "process id", "uid": "user id", "name": "pattern", "exe": "pattern"}[key])
	}
	return sel, nil
}

// Selects reports whether the process has the property.
func (s Selector) Selects(info *process.Info) bool {
	switch s.key {
	case "pid":
		return uint64(info.PID) == s.number
	case "uid":
		return uint64(info.EUID) == s.number
	case "name":
		return matches(s.value, info.Comm)
	case "exe":
		return matches(s.value, strings.TrimSuffix(info.Exe, deletedSuffix))
	case "cgroup":
		return s.value == "/" || info.Cgroup == s.value || strings.HasPrefix(info.Cgroup, s.value+"/")
	}
	return false
}

// String returns the selector as it is written.
func (s Selector) String() string { return s.key + "=" + s.value }

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func anySelects(selectors []Selector, info *process.Info) bool {
	for _, s := range selectors {
		if s.Selects(info) {
			return true
		}
	}
	return false
}

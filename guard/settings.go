package guard

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Violation is what happens on a call that a filter forbids.
type Violation string

// The call fails with an errno, or the process is killed before it is made.
const (
	Errno Violation = "errno"
	Kill  Violation = "kill"
)

// Settings are what a program is started with: profiles put together.
type Settings struct {
	Name      string        `json:"name"`
	Rules     map[Rule]bool `json:"rules"`
	Violation Violation     `json:"violation"`
	Lock      LockMode      `json:"lock,omitempty"`
	OOMScore  int           `json:"oom_score_adj,omitempty"`
	// MemoryMin and AddressSpace are in bytes, 0 where nothing is declared.
	MemoryMin    int64    `json:"memory_min,omitempty"`
	AddressSpace int64    `json:"address_space,omitempty"`
	Nodes        []int    `json:"numa_nodes,omitempty"`
	Folders      []string `json:"noexec_folders,omitempty"`
}

// LockMode is when memory is made resident.
type LockMode string

// Each page when it is first touched; or all that is mapped when the program starts, and all later
// mappings when they are made.
const (
	OnFault LockMode = "on-fault"
	AtOnce  LockMode = "at-once"
)

func (s *Settings) on(r Rule) bool { return s.Rules[r] }

// without returns settings with some rules off.
func (s *Settings) without(off []Rule) Settings {
	less := *s
	less.Rules = maps.Clone(s.Rules)
	for _, r := range off {
		delete(less.Rules, r)
	}
	return less
}

// filtered reports whether any rule needs a seccomp filter.
func (s *Settings) filtered() bool {
	return slices.ContainsFunc([]Rule{CodeCalls, NoNamespaces, NoAttach, NoURing, KeepResident, MemfdWatch, NoDump, NoMerge}, s.on)
}

// contained reports whether any rule needs namespaces.
func (s *Settings) contained() bool {
	return slices.ContainsFunc([]Rule{MemfdNoExec, ProcReadOnly, NoExecFolders}, s.on)
}

var temporary = []string{"/tmp", "/var/tmp", "/dev/shm", "/run"}

var builtin = map[string]Profile{
	"wx": {Name: "wx", About: "no code is made at run time",
		Rules:         set(MemfdNoExec, ProcReadOnly, NoExecFolders, MDWE, NoPrivileges, CodeCalls, NoNamespaces, NoAttach, NoURing, MemfdWatch),
		NoExecFolders: temporary},
	"secrets": {Name: "secrets", About: "its memory is read by nobody else, and reaches no disk",
		Rules: set(NoDump, NoPrivileges, NoNamespaces, NoAttach, NoURing, NoMerge, Lock, KeepResident), Lock: OnFault},
	"deterministic": {Name: "deterministic", About: "its memory stays where it is, whatever others do",
		Rules: set(MemoryGroup, NoHugePages, NoMerge, Lock, KeepResident), Lock: OnFault},
	"safety": {Name: "safety", About: "all of it", Extends: []string{"wx", "secrets", "deterministic"}},
}

func set(all ...Rule) map[Rule]bool {
	m := map[Rule]bool{}
	for _, r := range all {
		m[r] = true
	}
	return m
}

// Builtin returns the profiles that are always there, by name.
func Builtin() []Profile {
	var all []Profile
	for _, name := range slices.Sorted(maps.Keys(builtin)) {
		all = append(all, builtin[name])
	}
	return all
}

// Combine puts profiles together: a rule is on that any of them turns on, unless a later one turns
// it off.
func Combine(profiles ...Profile) (*Settings, error) {
	s := &Settings{Rules: map[Rule]bool{}, Violation: Errno}
	var names []string
	for i := range profiles {
		if err := s.extend(&profiles[i], nil); err != nil {
			return nil, err
		}
		names = append(names, profiles[i].Name)
	}
	s.Name = strings.Join(names, "+")
	return s, s.check()
}

func (s *Settings) extend(p *Profile, over []string) error {
	if slices.Contains(over, p.Name) {
		return fmt.Errorf("profile %s extends itself: %s", p.Name, strings.Join(append(over, p.Name), " → "))
	}
	for _, name := range p.Extends {
		base, ok := builtin[name]
		if !ok {
			return fmt.Errorf("profile %s extends %q, which there is not: %s", p.Name, name, names())
		}
		if err := s.extend(&base, append(over, p.Name)); err != nil {
			return err
		}
	}
	maps.Copy(s.Rules, p.Rules)
	if p.Violation != "" {
		s.Violation = p.Violation
	}
	if p.Lock != "" {
		s.Lock = p.Lock
	}
	if p.OOMScore != 0 {
		s.OOMScore = p.OOMScore
	}
	s.MemoryMin = max(s.MemoryMin, int64(p.MemoryMin))
	s.AddressSpace = max(s.AddressSpace, int64(p.AddressSpace))
	s.Nodes = append(s.Nodes, p.Nodes...)
	for _, f := range p.NoExecFolders {
		if f = filepath.Clean(f); !slices.Contains(s.Folders, f) {
			s.Folders = append(s.Folders, f)
		}
	}
	return nil
}

// check refuses what makes no sense together.
func (s *Settings) check() error {
	for r, on := range s.Rules {
		if _, ok := infoOf(r); !ok {
			return fmt.Errorf("there is no rule %q: see \"safevma run --rules\"", r)
		}
		if !on {
			delete(s.Rules, r)
		}
	}
	switch {
	case s.on(Lock) && s.Lock == "":
		s.Lock = OnFault
	case s.on(AddressSpace) && s.AddressSpace == 0:
		return fmt.Errorf("rule %s is on, and no address_space is declared", AddressSpace)
	case s.on(NUMA) && len(s.Nodes) == 0:
		return fmt.Errorf("rule %s is on, and no numa_nodes are declared", NUMA)
	case s.on(OOMScore) && (s.OOMScore < -1000 || s.OOMScore > 1000 || s.OOMScore == 0):
		return fmt.Errorf("rule %s is on, and oom_score_adj is %d: want -1000 to 1000, and not 0", OOMScore, s.OOMScore)
	}
	return nil
}

func names() string { return strings.Join(slices.Sorted(maps.Keys(builtin)), ", ") }

package host

import (
	"errors"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// Security is what limits even the superuser.
type Security struct {
	// Lockdown is the mode of the lockdown module: "none", "integrity" or
	// "confidentiality" (kernel_lockdown(7)); absent where the kernel has no such
	// module, or it is not active.
	Lockdown Value[Choice] `fact:"lockdown"`
	// LockdownFloor is the least mode that the configuration and the command line force:
	// an inference, for readers who cannot see the mode itself.
	LockdownFloor Value[string] `fact:"lockdown_floor"`
	// LSMs are the active security modules, in the order in which the kernel asks them.
	LSMs Value[[]string] `fact:"lsms"`
}

func (s *session) security(f *Facts) {
	f.Security = Security{
		Lockdown:      readPseudo(s, securityfs, "lockdown", whole(parseLockdown)),
		LockdownFloor: lockdownFloor(f.Kernel.Config, f.Kernel.Cmdline),
		LSMs:          s.lsms(),
	}
}

var lockdownModes = []string{"none", "integrity", "confidentiality"}

func lockdownRank(mode string) int {
	for i, known := range lockdownModes {
		if mode == known {
			return i
		}
	}
	return -1
}

func parseLockdown(text string) (Choice, error) {
	c, err := parseChoice(text)
	if err == nil && lockdownRank(c.Selected) < 0 {
		err = malformed("%s is not a known mode", quote(c.Selected))
	}
	return c, err
}

// lockdownFloor infers the least mode. The mode can only be raised afterwards.
func lockdownFloor(config Value[Config], cmdline Value[Cmdline]) Value[string] {
	return then(config, func(c Config) (string, string, error) {
		if !c.On("SECURITY_LOCKDOWN_LSM") {
			return "none", c.Line("SECURITY_LOCKDOWN_LSM"), nil
		}
		params, err := cmdline.Get()
		if err != nil {
			return "", "", err
		}
		mode, raw := "none", c.Line("SECURITY_LOCKDOWN_LSM")
		raise := func(to, why string) {
			if lockdownRank(to) > lockdownRank(mode) {
				mode, raw = to, why
			}
		}
		for _, forced := range lockdownModes[1:] {
			symbol := "LOCK_DOWN_KERNEL_FORCE_" + strings.ToUpper(forced)
			if c.On(symbol) && lockdownRuns(c, params) {
				raise(forced, c.Line(symbol))
			}
		}
		if p, ok := params.Lookup("lockdown"); ok && lockdownRuns(c, params) {
			raise(p.Value, p.String())
		}
		return mode, raw, nil
	}).inferred()
}

// lockdownRuns reports whether the module is among those that are started: always where
// it is an early one, else where the list names it.
func lockdownRuns(c Config, params Cmdline) bool {
	if c.On("SECURITY_LOCKDOWN_LSM_EARLY") {
		return true
	}
	modules := c["LSM"]
	if p, ok := params.Lookup("lsm"); ok {
		modules = p.Value
	}
	for module := range strings.SplitSeq(modules, ",") {
		if module == "lockdown" {
			return true
		}
	}
	return false
}

// lsmNames are the ids of include/uapi/linux/lsm.h.
var lsmNames = map[uint64]string{
	100: "capability", 101: "selinux", 102: "smack", 103: "tomoyo", 104: "apparmor", 105: "yama", 106: "loadpin",
	107: "safesetid", 108: "lockdown", 109: "bpf", 110: "landlock", 111: "ima", 112: "evm", 113: "ipe",
}

// lsms asks securityfs, which names them, and then the system call, which every user
// may make.
func (s *session) lsms() Value[[]string] {
	v := readPseudo(s, securityfs, "lsm", whole(parseLSMs))
	if v.Known() || !s.live || ReasonOf(v.Err) == Malformed {
		return v
	}
	const source = "lsm_list_modules(2)"
	ids, err := sys.LSMs()
	if err != nil {
		return unknown[[]string](guarantee.Read, source, "", errors.Join(v.Err, classify(err)))
	}
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		name, ok := lsmNames[id]
		if !ok {
			return unknown[[]string](guarantee.Read, source, "", malformed("module %d is not known here", id))
		}
		names = append(names, name)
	}
	return known(names, guarantee.Read, source, strings.Join(names, ","))
}

func parseLSMs(text string) ([]string, error) {
	names := strings.Split(strings.TrimSuffix(text, "\n"), ",")
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, " \t\n\x00") {
			return nil, malformed("%s is not a list of names", quote(text))
		}
	}
	return names, nil
}

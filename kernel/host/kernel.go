package host

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// Kernel is which kernel runs, how it was built and how it was started.
type Kernel struct {
	Uname Value[Uname] `fact:"uname"`
	// BootID is made anew at every boot (random(4)).
	BootID  Value[string]  `fact:"boot_id"`
	Cmdline Value[Cmdline] `fact:"cmdline"`
	// Config is the configuration. It is [guarantee.Read] where the kernel itself
	// carries it, and [guarantee.Inference] where it is a file that only has the name
	// of this release.
	Config Value[Config] `fact:"config"`
}

// Uname is what uname(2) says.
type Uname struct {
	System  string `json:"system"`
	Node    string `json:"node"`
	Release string `json:"release"`
	Version string `json:"version"`
	Machine string `json:"machine"`
}

func (s *session) kernel(f *Facts) {
	f.Kernel.Uname = s.uname()
	f.Kernel.BootID = read(s.proc("sys", "kernel", "random", "boot_id"), parseBootID)
	f.Kernel.Cmdline = read(s.proc("cmdline"), parseCmdline)
	f.Kernel.Config = s.config(f.Kernel.Uname)
}

// uname asks the kernel; where it is not the one that is read, the files that say the
// same (proc_sys_kernel(5)).
func (s *session) uname() Value[Uname] {
	if s.live {
		u, err := sys.Uname()
		if err != nil {
			return unknown[Uname](guarantee.Read, "uname(2)", "", err)
		}
		raw := strings.Join([]string{u.System, u.Node, u.Release, u.Version, u.Machine}, " ")
		return known(Uname(u), guarantee.Read, "uname(2)", raw)
	}
	var u Uname
	source := s.proc("sys", "kernel")
	for name, to := range map[string]*string{"ostype": &u.System, "hostname": &u.Node, "osrelease": &u.Release, "version": &u.Version, "arch": &u.Machine} {
		b, err := readFile(s.proc("sys", "kernel", name))
		if errors.Is(err, ErrAbsent) && name == "arch" { // Linux 6.1
			continue
		}
		if err != nil {
			return unknown[Uname](guarantee.Read, source, "", err)
		}
		*to = strings.TrimSuffix(string(b), "\n")
	}
	return known(u, guarantee.Read, source, "")
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func parseBootID(text string) (string, error) {
	id := strings.TrimSuffix(text, "\n")
	if !uuid.MatchString(id) {
		return "", malformed("%s is not a UUID", quote(text))
	}
	return id, nil
}

// config reads the configuration from the first place that has one. One that makes no
// sense is not passed over for a weaker source.
func (s *session) config(uname Value[Uname]) Value[Config] {
	v := readStream(s.proc("config.gz"), parseConfigGzip)
	if v.Known() || ReasonOf(v.Err) == Malformed {
		return v
	}
	u, err := uname.Get()
	if err != nil || !isFileName(u.Release) {
		return v
	}
	tried := []error{v.Err}
	for _, path := range []string{
		filepath.Join(s.Boot, "config-"+u.Release),
		filepath.Join(s.Modules, u.Release, "config"),
		filepath.Join(s.Modules, u.Release, "build", ".config"),
	} {
		v = readStream(path, parseConfig).inferred()
		if v.Known() || ReasonOf(v.Err) == Malformed {
			return v
		}
		tried = append(tried, v.Err)
	}
	return unknown[Config](guarantee.Inference, s.proc("config.gz"), "", errors.Join(tried...))
}

// isFileName reports whether a name stays in its directory.
func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Schema is the version of profiles in YAML (docs/schema/profile-v1.json).
const Schema = "safevma.profile/v1"

// Profile is a set of rules under a name, built in or of a YAML file.
type Profile struct {
	Schema        string        `yaml:"schema"`
	Name          string        `yaml:"name"`
	About         string        `yaml:"about"`
	Extends       []string      `yaml:"extends"`
	Rules         map[Rule]bool `yaml:"rules"`
	Violation     Violation     `yaml:"violation"`
	Lock          LockMode      `yaml:"lock"`
	OOMScore      int           `yaml:"oom_score_adj"`
	MemoryMin     Size          `yaml:"memory_min"`
	AddressSpace  Size          `yaml:"address_space"`
	Nodes         []int         `yaml:"numa_nodes"`
	NoExecFolders []string      `yaml:"noexec_folders"`
}

// Size is a number of bytes, which in YAML may have a unit: 64MiB.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	number, shift := strings.TrimSpace(string(text)), 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, shift = strings.TrimSpace(rest), 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)>>shift {
		return fmt.Errorf("%q is no size: write 64MiB, or a number of bytes", text)
	}
	*s = Size(n << shift)
	return nil
}

// mostProfile is how long a profile may be, in bytes.
const mostProfile = 1 << 20

// Load returns a profile by its name, or of a file where that has a slash or ends in .yaml.
func Load(name string) (Profile, error) {
	if !strings.Contains(name, "/") && !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		p, ok := builtin[name]
		if !ok {
			return Profile{}, fmt.Errorf("there is no profile %q: %s, or a YAML file", name, names())
		}
		return p, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return Profile{}, err
	}
	defer f.Close()
	p, err := Parse(f)
	if err != nil {
		return Profile{}, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Parse reads a profile. Keys that there are not, values of the wrong kind, and rules of other names
// are errors that say the line.
func Parse(r io.Reader) (p Profile, err error) {
	text, err := io.ReadAll(io.LimitReader(r, mostProfile+1))
	if err != nil {
		return p, err
	}
	if len(text) > mostProfile {
		return p, fmt.Errorf("a profile of more than %d bytes", mostProfile)
	}
	if err := yaml.Load(text, &p, yaml.WithKnownFields()); err != nil {
		return Profile{}, err
	}
	return p, p.validate()
}

func (p *Profile) validate() error {
	switch {
	case p.Schema != Schema:
		return fmt.Errorf("schema: %q, want %s", p.Schema, Schema)
	case p.Name == "":
		return errors.New("name: missing")
	case p.Violation != "" && p.Violation != Errno && p.Violation != Kill:
		return fmt.Errorf("violation: %q, want %s or %s", p.Violation, Errno, Kill)
	case p.Lock != "" && p.Lock != OnFault && p.Lock != AtOnce:
		return fmt.Errorf("lock: %q, want %s or %s", p.Lock, OnFault, AtOnce)
	}
	for _, f := range p.NoExecFolders {
		if !strings.HasPrefix(f, "/") {
			return fmt.Errorf("noexec_folders: %q is no absolute path", f)
		}
	}
	for _, n := range p.Nodes {
		if n < 0 || n > 63 {
			return fmt.Errorf("numa_nodes: %d, want 0 to 63", n)
		}
	}
	_, err := Combine(*p)
	return err
}

package host

import (
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Privileges is who reads: what a refusal means depends on it.
type Privileges struct {
	EUID uint32 `json:"euid"`
	// CapEff is the effective capabilities, as a set of bits (capabilities(7)).
	CapEff uint64 `json:"cap_eff"`
	// InitialPIDNamespace and InitialUserNamespace say whether the reader is in the
	// namespaces of the host, or in those of a container.
	InitialPIDNamespace  bool `json:"initial_pid_namespace"`
	InitialUserNamespace bool `json:"initial_user_namespace"`
}

// Capabilities that decide whether a device can be opened (capabilities(7)).
const (
	capDACOverride = 1 << 1
	capSysRawIO    = 1 << 17
)

// Inode numbers of the initial namespaces: PROC_PID_INIT_INO and PROC_USER_INIT_INO of
// include/linux/proc_ns.h.
const (
	initialPIDNamespace  = 0xeffffffc
	initialUserNamespace = 0xeffffffd
)

// Has reports whether the reader has all the given capabilities over the whole host.
func (p Privileges) Has(capabilities uint64) bool {
	return p.InitialUserNamespace && p.CapEff&capabilities == capabilities
}

func (s *session) reader(f *Facts) {
	source := s.proc("self", "status")
	p, err := s.readPrivileges()
	if err != nil {
		f.Reader = unknown[Privileges](guarantee.Read, source, "", err)
		return
	}
	f.Reader = known(p, guarantee.Read, source, "")
	s.privileged = p.Has(capDACOverride | capSysRawIO)
}

func (s *session) readPrivileges() (Privileges, error) {
	if err := s.experiment(); err != nil {
		return Privileges{}, err
	}
	self, err := process.At(s.Proc).Self()
	if err != nil {
		return Privileges{}, err
	}
	defer self.Close()
	info, err := self.Info()
	if err != nil {
		return Privileges{}, err
	}
	user, err := sys.StatAt(sys.AtFDCWD, s.proc("self", "ns", "user"))
	if err != nil {
		return Privileges{}, err
	}
	return Privileges{
		EUID: info.EUID, CapEff: info.CapEff,
		InitialPIDNamespace:  info.PIDNamespace == initialPIDNamespace,
		InitialUserNamespace: user.Ino == initialUserNamespace,
	}, nil
}

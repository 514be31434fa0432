package host

import (
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// SecretMemory is memory that is out of the kernel's linear map, and what it costs: a
// host cannot hibernate while there is any.
type SecretMemory struct {
	// Parameter is secretmem.enable; readable for the superuser.
	Parameter Value[bool] `fact:"parameter"`
	// Works is whether memfd_secret(2) makes a file.
	Works Value[bool] `fact:"works"`
	// HibernationMode is /sys/power/disk; absent where the kernel cannot hibernate.
	// "disabled" says that something forbids it now: secret memory, lockdown, or
	// "nohibernate".
	HibernationMode Value[Choice] `fact:"hibernation_mode"`
	// SleepStates is /sys/power/state: "disk" is hibernation.
	SleepStates Value[[]string] `fact:"sleep_states"`
}

func (s *session) secretMemory(f *Facts) {
	f.SecretMemory = SecretMemory{
		Parameter:       readSwitch(s.sysfs("module", "secretmem", "parameters", "enable")),
		HibernationMode: readChoice(s.sysfs("power", "disk")),
		SleepStates: read(s.sysfs("power", "state"), func(text string) ([]string, error) {
			return strings.Fields(text), nil
		}),
	}
	// Before the experiment is asked, and so not because of it, the mode has been read.
	f.SecretMemory.Works = s.secretMemoryWorks()
}

// secretMemoryWorks makes a file of secret memory and closes it. ENOSYS is the kernel's
// answer where it has none, where it is switched off, and where it cannot change its
// linear map.
func (s *session) secretMemoryWorks() Value[bool] {
	const source = "memfd_secret(2)"
	if err := s.experiment(); err != nil {
		return unknown[bool](guarantee.Probe, source, "", err)
	}
	file, err := sys.MemfdSecret()
	if err == nil {
		file.Close()
		return known(true, guarantee.Probe, source, "a file was made")
	}
	if ReasonOf(classify(err)) == Absent {
		return known(false, guarantee.Probe, source, err.Error())
	}
	return unknown[bool](guarantee.Probe, source, err.Error(), err)
}

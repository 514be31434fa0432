package probe

import (
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// Where temporary files are in memory, what needs a disk is unknown: tmpfs takes O_DIRECT and
// copies, and its files count against the limit of a group.
func TestTemporaryFilesInMemory(t *testing.T) {
	f, err := sys.TempFile("/dev/shm")
	if err != nil {
		t.Skip(err)
	}
	magic, err := sys.FileSystem(f)
	f.Close()
	if err != nil || magic != sys.MagicTmpfs {
		t.Skipf("/dev/shm is no tmpfs: %#x, %v", magic, err)
	}
	t.Setenv("TMPDIR", "/dev/shm")
	var probes []Probe
	for _, id := range []string{"sm-direct-write", "sm-direct-read", "psi-fires"} {
		p, _ := Find(id)
		probes = append(probes, p)
	}
	for _, r := range runAll(t, Config{Probes: probes}).Probes {
		if r.Outcome != Unknown || r.Reason.Why != Missing && r.Reason.Why != Privilege {
			t.Errorf("%s: %s, %+v", r.ID, r.Outcome, r.Reason)
		}
		t.Logf("%s: %+v", r.ID, r.Reason)
	}
}

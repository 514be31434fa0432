package feature

import (
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var noexecSeal = Feature{
	Name:   "noexec-seal",
	Title:  "memfds that never become executable files (MFD_NOEXEC_SEAL)",
	Source: "memfd_create(2), MFD_NOEXEC_SEAL; Documentation/userspace-api/mfd_noexec.rst",
	Since:  "6.3",
	probe:  probeNoexecSeal,
}

// probeNoexecSeal gives execute permission to a memfd that was made without. The
// control does the same to one that may have it.
func probeNoexecSeal() Result {
	sealed, err := sys.MemfdCreate("noexec-seal", sys.MfdNoexecSeal)
	if err != nil { // an older kernel does not know the flag
		return absentIf("memfd_create(MFD_NOEXEC_SEAL)", err, "", syscall.EINVAL)
	}
	defer sealed.Close()
	free, err := sys.MemfdCreate("noexec-seal-control", sys.MfdExec)
	if err != nil { // EACCES: vm.memfd_noexec is 2
		return noControl("memfd_create(MFD_EXEC)", err)
	}
	defer free.Close()
	if err := free.Chmod(0o644); err != nil {
		return noControl("fchmod 0644 of a memfd with MFD_EXEC", err)
	}
	if err := free.Chmod(0o755); err != nil {
		return noControl("fchmod 0755 of a memfd with MFD_EXEC", err)
	}
	return refused("fchmod 0755", sealed.Chmod(0o755), syscall.EPERM, "fchmod 0755 of a memfd with MFD_EXEC: ok")
}

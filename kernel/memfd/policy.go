package memfd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// NoexecPath is where the setting of the reader's own PID namespace stands.
const NoexecPath = "/proc/sys/vm/memfd_noexec"

// Policy is what vm.memfd_noexec says and does in one PID namespace, at one point in
// time: the declared value, the effect, and the control of the experiment. The meaning of
// the values differs between kernels; the effect is what counts.
type Policy struct {
	// Namespace is the inode number of the PID namespace that the experiment ran in.
	Namespace uint64 `json:"namespace"`
	// Declared is the value that a process in the namespace reads: 0, 1 or 2. It is nil
	// where it could not be read, for the reason in DeclaredError.
	Declared      *int   `json:"declared"`
	DeclaredError string `json:"declared_error,omitempty"`
	// Floor is the value of the namespace above, below which it cannot be set from
	// inside; 0 for the first namespace. It is nil where that is unknown, for the reason
	// in FloorError.
	Floor      *int   `json:"floor"`
	FloorError string `json:"floor_error,omitempty"`
	// Default, Exec and NoexecSeal are the outcomes of memfd_create with flags 0,
	// MFD_EXEC and MFD_NOEXEC_SEAL. The last is the control: it must succeed, and give a
	// memfd that is not executable.
	Default    Attempt `json:"default"`
	Exec       Attempt `json:"exec"`
	NoexecSeal Attempt `json:"noexec_seal"`
	// ChmodErrno is the answer to fchmod of the last one to mode 0777: "EPERM" where
	// the seal holds, "" where it does not, or where there is none to try on.
	ChmodErrno string `json:"chmod_errno,omitempty"`
}

// Attempt is the outcome of one memfd_create.
type Attempt struct {
	// Call is what was tried, such as "memfd_create(MFD_EXEC)".
	Call string `json:"call"`
	// Errno is the refusal, such as "EACCES"; "" where a memfd was created.
	Errno string `json:"errno,omitempty"`
	// Mode is the permission bits and Seals the seals of what was created.
	Mode  uint32 `json:"mode"`
	Seals Seals  `json:"seals"`
}

// Created reports whether a memfd was created.
func (a *Attempt) Created() bool { return a.Call != "" && a.Errno == "" }

// Executable reports whether a memfd was created that execve(2) would run.
func (a *Attempt) Executable() bool { return a.Created() && a.Mode&executeBits != 0 }

// sealed reports whether a memfd was created that is not executable, and stays so.
func (a *Attempt) sealed() bool {
	return a.Created() && a.Mode&executeBits == 0 && a.Seals.Has(SealExec)
}

// String returns the raw observation on one line, for evidence.
func (a Attempt) String() string {
	switch {
	case a.Call == "":
		return "not tried"
	case a.Errno != "":
		return a.Call + ": " + a.Errno
	}
	return fmt.Sprintf("%s: mode %#o, seals %v", a.Call, a.Mode, a.Seals)
}

// Raw returns the observations line by line, for evidence.
func (p *Policy) Raw() []string {
	lines := []string{"vm.memfd_noexec = " + valueText(p.Declared, p.DeclaredError)}
	for _, a := range []Attempt{p.Default, p.Exec, p.NoexecSeal} {
		lines = append(lines, a.String())
	}
	if p.NoexecSeal.Created() {
		lines = append(lines, "fchmod(0777) of that: "+errnoText(p.ChmodErrno))
	}
	return append(lines, "vm.memfd_noexec of the namespace above = "+valueText(p.Floor, p.FloorError))
}

func valueText(value *int, reason string) string {
	if value == nil {
		return "unknown: " + reason
	}
	return strconv.Itoa(*value)
}

func errnoText(errno string) string {
	if errno == "" {
		return "allowed"
	}
	return errno
}

// Control reports whether the control passed: the call works as such, and the seal
// against execute bits holds.
func (p *Policy) Control() bool {
	return p.NoexecSeal.sealed() && p.ChmodErrno == "EPERM"
}

// ExecutableRefused reports whether the namespace refuses executable memfds, by effect.
// It is not known where the control failed, where an attempt failed for another reason,
// or where the refusal is not what the declared value explains: then a filter of system
// calls or a security module refuses this prober, and perhaps nobody else.
func (p *Policy) ExecutableRefused() (refused, known bool) {
	if p.Default.Executable() || p.Exec.Executable() {
		return false, true
	}
	const declaredRefusal = 2
	defaultRefused := p.Default.sealed() || p.Default.Errno == "EACCES" || p.Default.Errno == "EINVAL"
	ok := p.Exec.Errno == "EACCES" && defaultRefused &&
		p.Control() && p.Declared != nil && *p.Declared == declaredRefusal
	return ok, ok
}

// Lowerable reports whether the declared value can be lowered from inside the namespace.
// That it can't be is known where the namespace above has the same value. Nothing is
// tried, since that would change the namespace: with a lower value above it is unknown
// whether a process inside has the privilege (CAP_SYS_ADMIN over the namespace and a
// writable /proc/sys).
func (p *Policy) Lowerable() (lowerable, known bool) {
	if p.Declared == nil || *p.Declared == 0 {
		return false, p.Declared != nil
	}
	return false, p.Floor != nil && *p.Floor >= *p.Declared
}

// PolicyProbe observes the policy of the PID namespace that this process is in. noexec is
// an open [NoexecPath], which answers for the namespace of whoever reads it. The memfds
// that it makes are closed again. It needs no privilege. Where executable memfds are
// refused, or a flag is missed, the kernel may write that to its log, at a limited rate.
func PolicyProbe(noexec *os.File) Policy {
	p := Policy{FloorError: "not looked for"}
	if st, err := namespaceStat("/proc/self/ns/pid"); err == nil {
		p.Namespace = st.Ino
	}
	declared, err := readNoexec(noexec)
	if err != nil {
		p.DeclaredError = err.Error()
	} else {
		p.Declared = &declared
	}
	p.Default, _ = attempt("memfd_create(0)", 0, nil)
	p.Exec, _ = attempt("memfd_create(MFD_EXEC)", sys.MfdExec, nil)
	var chmod error
	p.NoexecSeal, chmod = attempt("memfd_create(MFD_NOEXEC_SEAL)", sys.MfdNoexecSeal, func(f *os.File) error { return f.Chmod(0o777) })
	p.ChmodErrno = sys.ErrnoName(chmod)
	return p
}

// attempt makes a memfd, looks at it, does then with it and closes it.
func attempt(call string, flags int, then func(*os.File) error) (Attempt, error) {
	a := Attempt{Call: call}
	f, err := sys.MemfdCreate(ownName, flags)
	if err != nil {
		a.Errno = sys.ErrnoName(err)
		return a, nil
	}
	defer f.Close()
	st, err := sys.Stat(f)
	if err != nil {
		return Attempt{Call: call, Errno: sys.ErrnoName(err)}, nil
	}
	seals, err := sys.Seals(f)
	if err != nil {
		return Attempt{Call: call, Errno: sys.ErrnoName(err)}, nil
	}
	a.Mode, a.Seals = st.Mode&0o7777, Seals(seals)
	if then == nil {
		return a, nil
	}
	return a, then(f)
}

var errNoFile = errors.New("no open " + NoexecPath)

// readNoexec reads the value for the PID namespace of this process.
func readNoexec(f *os.File) (int, error) {
	if f == nil {
		return 0, errNoFile
	}
	b := make([]byte, 32)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", NoexecPath, err)
	}
	return value, nil
}

func namespaceStat(path string) (sys.FileStat, error) {
	st, err := sys.StatAt(sys.AtFDCWD, path)
	if errors.Is(err, syscall.ENOENT) {
		return st, fmt.Errorf("%w: is /proc mounted?", err)
	}
	return st, err
}

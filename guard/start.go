package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// start starts the outer stage, in its namespaces and its cgroup.
func (l *launcher) start(path string) error {
	s := l.config.Settings
	o := order{Settings: *s, Path: path, Args: l.config.Command, Env: l.environment(), Skip: l.config.skip, Ignored: l.ignored}
	if s.on(Lock) && os.Geteuid() == 0 {
		o.Keep = []int{sys.CapIPCLock} // root too is held to the limit without it
	}
	file, err := newOrder(&o)
	if err != nil {
		return err
	}
	defer file.Close()
	ours, theirs, err := sys.SocketPair("stage")
	if err != nil {
		return err
	}
	defer theirs.Close()
	l.wire = newWire(ours)
	l.outer = next("outer", l.config.Keep, file, theirs)
	if s.contained() {
		l.outer.SysProcAttr.Cloneflags = sys.NewPID | sys.NewNS
		if os.Geteuid() != 0 {
			asOrdinaryUser(l.outer.SysProcAttr)
		}
	}
	if err := l.outer.Start(); err != nil {
		return startError(err)
	}
	closeAll(l.config.Keep)
	if l.group != nil {
		if err := l.group.Add(l.outer.Process.Pid); err != nil {
			l.launch.Steps = append(l.launch.Steps, Step{MemoryGroup, "", err.Error()})
		}
	}
	return l.wire.send(message{Go: true})
}

// startError says what to do about a stage that can't be started.
func startError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("this program can't start itself anew: mount proc at /proc: %w", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no new namespaces are to be had here, as inside another launch, in many containers, or where an ordinary user "+
			"may not make a user namespace (user_namespaces(7)): start it outside: %w", err)
	}
	return fmt.Errorf("start in new namespaces: %w", err)
}

// asOrdinaryUser puts a user namespace around the others. Ids are in it what they are outside; the
// capabilities in it, which are those of the stages, pass through execve as ambient ones.
func asOrdinaryUser(a *syscall.SysProcAttr) {
	a.Cloneflags |= sys.NewUser
	a.AmbientCaps = []uintptr{sys.CapSysAdmin, sys.CapSetPCAP, sys.CapSysPtrace}
	uid, gid := os.Geteuid(), os.Getegid()
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
}

// newOrder writes an order to a memfd that can't be executed: by its seal, or by its permissions where the
// kernel does not know that (Linux 6.3).
func newOrder(o *order) (*os.File, error) {
	file, err := sys.MemfdCreate("order", sys.MfdNoexecSeal)
	if errors.Is(err, syscall.EINVAL) {
		if file, err = sys.MemfdCreate("order", 0); err == nil {
			err = file.Chmod(0o600)
		}
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("no memfd is to be had here, as inside another launch: start it outside: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(file).Encode(o); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

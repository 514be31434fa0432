package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/wire"
)

// mounts are what programs expect of a running system. Kernels may lack the optional
// ones.
var mounts = []struct {
	fstype, target, options string
	optional                bool
}{
	{"proc", "/proc", "", false},
	{"sysfs", "/sys", "", false},
	{"devtmpfs", "/dev", "", false},
	{"devpts", "/dev/pts", "ptmxmode=666", false},
	{"tmpfs", "/dev/shm", "mode=1777", false},
	{"tmpfs", "/tmp", "mode=1777", false},
	{"tmpfs", "/run", "mode=755", false},
	{"cgroup2", "/sys/fs/cgroup", "", true},
	{"debugfs", "/sys/kernel/debug", "", true},
	{"tracefs", "/sys/kernel/tracing", "", true},
	{"securityfs", "/sys/kernel/security", "", true},
	{"bpf", "/sys/fs/bpf", "", true},
	{"hugetlbfs", "/dev/hugepages", "", true},
}

// accounts are the users and groups that programs may look up.
var accounts = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
	"/etc/group":  "root:x:0:\nnogroup:x:65534:\n",
	"/etc/hosts":  "127.0.0.1 localhost\n",
}

func mountAll() error {
	for _, m := range mounts {
		// sysfs and its kin have their own mount points, which can't be made.
		if err := os.MkdirAll(m.target, 0o755); err != nil && !m.optional {
			return err
		}
		err := sys.Mount(m.fstype, m.target, m.fstype, m.options)
		if err != nil && !m.optional {
			return err
		}
	}
	for name, text := range accounts {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll("/root", 0o755) // modules may lie below it, and tests run as any user
}

// loadModules loads modules that this init carries. One may say that the machine has nothing
// for it: nfit does on arm64. What was asked for and is missing then, its user will tell.
func loadModules(names []string) error {
	for _, name := range names {
		if err := loadModule(name); err != nil && !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return nil
}

func loadModule(name string) error {
	file, err := os.Open(filepath.Join(wire.ModuleDir, name+".ko"))
	if err != nil {
		return err
	}
	defer file.Close()
	err = sys.LoadModule(file, "")
	if errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}

// openPort opens the port to the runner: the kernel tells its name in sysfs, a little
// after the device appears.
func openPort() (*os.File, error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err == nil && strings.TrimSpace(string(text)) == wire.PortName {
				return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), os.O_RDWR, 0)
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no virtio-serial port %q among %d", wire.PortName, len(names))
		}
	}
}

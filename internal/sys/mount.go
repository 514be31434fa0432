package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Magic numbers of the kernel's pseudo file systems, for [FileSystem].
const (
	MagicSysfs      = unix.SYSFS_MAGIC
	MagicSecurityfs = unix.SECURITYFS_MAGIC
	MagicTracefs    = unix.TRACEFS_MAGIC
	MagicDebugfs    = unix.DEBUGFS_MAGIC
)

// DetachedMount mounts a file system nowhere: it is in no mount table, and can be
// reached only through the directory that is returned, for [OpenAt]. Closing the
// directory unmounts it. The mount is read-only; the superblock, which others may
// have mounted too, keeps its own flags.
//
// It needs CAP_SYS_ADMIN (EPERM) and Linux 5.2 (ENOSYS); ENODEV says that the kernel
// has no such file system. Source: fsopen(2), fsmount(2).
func DetachedMount(fstype string) (*os.File, error) {
	return detachedMount(fstype, unix.MOUNT_ATTR_RDONLY)
}

// DetachedWritableMount is [DetachedMount] through which can be written.
func DetachedWritableMount(fstype string) (*os.File, error) { return detachedMount(fstype, 0) }

func detachedMount(fstype string, access int) (*os.File, error) {
	context, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen("+fstype+")", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, os.NewSyscallError("fsconfig("+fstype+")", err)
	}
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	root, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, attributes|access)
	if err != nil {
		return nil, os.NewSyscallError("fsmount("+fstype+")", err)
	}
	return os.NewFile(uintptr(root), fstype), nil
}

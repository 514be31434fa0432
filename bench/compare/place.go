package compare

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// statfs(2) has these numbers.
var fileSystems = map[int64]string{
	0x01021994: "tmpfs", 0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x2fc12fc1: "zfs",
	0x6969: "nfs", 0x65735546: "fuse",
}

// disks are file systems on a device of their own.
var disks = []string{"ext4", "xfs", "btrfs", "zfs"}

// FileSystem returns the type of file system that a folder is on.
func FileSystem(folder string) (string, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return "", &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	if name, ok := fileSystems[int64(st.Type)]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", st.Type), nil
}

// Fits says why a folder is not on the kind of file system that a place is about, or nil.
func (p Place) Fits(folder string) error {
	name, err := FileSystem(folder)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		if p == Disk && name == disk {
			return nil
		}
	}
	if string(p) == name {
		return nil
	}
	return fmt.Errorf("%s is on %s, not on a %s", folder, name, p)
}

// Device describes what is below a folder on a disk: the file system, the driver of the
// device and its write cache, as sysfs has them.
func Device(folder string) string {
	name, err := FileSystem(folder)
	if err != nil {
		return "unknown"
	}
	var st syscall.Stat_t
	if syscall.Stat(folder, &st) != nil {
		return name
	}
	dev := fmt.Sprintf("/sys/dev/block/%d:%d", st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00)
	var parts []string
	for _, up := range []string{"", ".."} { // of a partition: the disk
		if driver, err := os.Readlink(filepath.Join(dev, up, "device/driver")); err == nil {
			parts = append(parts, filepath.Base(driver))
		}
		if cache, err := os.ReadFile(filepath.Join(dev, up, "queue/write_cache")); err == nil {
			parts = append(parts, strings.TrimSpace(string(cache))+" cache")
			break
		}
	}
	if len(parts) == 0 {
		return name
	}
	return name + " (" + strings.Join(parts, ", ") + ")"
}

package image

import (
	"fmt"
	"os"
	"os/exec"
)

// mkfs are the commands that make a file system in a file. Both lay their structures out
// in steps of 2 MiB, so that DAX can map huge pages.
var mkfs = map[string][]string{
	"ext4": {"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "stride=512,stripe_width=512,lazy_itable_init=0,nodiscard"},
	"xfs":  {"mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=0,rmapbt=0", "-d", "su=2m,sw=1,agcount=2", "-l", "size=64m,su=32k"},
}

// packages say where the commands come from.
var packages = map[string]string{"mke2fs": "e2fsprogs", "mkfs.xfs": "xfsprogs"}

// MinSize is the smallest size in bytes at which a file system of a kind can be made.
func MinSize(kind string) int64 {
	if kind == "xfs" {
		return 1 << 30 // mkfs.xfs refuses less when the log has 64 MiB and there are two groups
	}
	return 256 << 20
}

// Disk makes the file of a disk with a file system, ext4 or xfs, on all of it.
func Disk(path, kind string, size int64) error {
	command, ok := mkfs[kind]
	if !ok {
		return fmt.Errorf("no file system %q: want ext4 or xfs", kind)
	}
	file, err := sparse(path, size)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	program, err := tool(command[0])
	if err != nil {
		return err
	}
	if text, err := exec.Command(program, append(command[1:], path)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, text)
	}
	return nil
}

// tool finds a program that may lie where only root's PATH leads.
func tool(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: it comes with Debian's package %s", name, packages[name])
}

func sparse(path string, size int64) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

package pmem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// Real file systems without space, in a mount namespace of a process of its own: with room for every
// number of pages in turn, each allocation is the one for which there is none. A store to a page
// that has no space would end that process.
func TestFullDisk(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			if kind == "ext4" && testing.Short() {
				t.Skip("it takes seconds")
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestOnFullDisk$", "-test.count=1", "-test.v")
			cmd.Env = append(os.Environ(), "SAFEVMA_DISK="+kind, "SAFEVMA_DISK_DIR="+t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			if os.Geteuid() != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
			}
			out, err := cmd.CombinedOutput()
			switch {
			case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES):
				t.Skipf("no mount namespace can be made here: %v", err)
			case err != nil:
				t.Errorf("%v\n%s", err, out)
			case strings.Contains(string(out), "SKIP"):
				t.Skipf("%s", out)
			default:
				t.Logf("%s", out)
			}
		})
	}
}

// TestOnFullDisk is what TestFullDisk runs.
func TestOnFullDisk(t *testing.T) {
	dir, kind := os.Getenv("SAFEVMA_DISK_DIR"), os.Getenv("SAFEVMA_DISK")
	if kind == "" {
		t.Skip("runs for another test")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("no mounts of its own: %v", err)
	}
	disk, step := onTmpfs, 1
	if kind == "ext4" {
		disk, step = onExt4, 5
		makeExt4(t, dir)
	}
	full, bad := 0, 0
	for pages := 1; pages <= hostileSize/4096+8; pages += step {
		name := disk(t, dir, pages)
		found, err := fillDisk(name)
		if err != nil {
			t.Errorf("%s with room for %d pages: %v", kind, pages, err)
			if bad++; bad > 3 {
				return
			}
		}
		full += map[bool]int{true: 1}[found]
	}
	if t.Logf("%s: full in %d runs", kind, full); full*step < hostileSize/4096/2 {
		t.Error("this shows nothing")
	}
}

// onTmpfs mounts one that has so many pages.
func onTmpfs(t *testing.T, dir string, pages int) string {
	t.Helper()
	syscall.Unmount(dir, 0) // that of the last run
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", pages*4096)); err != nil {
		t.Skipf("tmpfs can't be mounted: %v", err)
	}
	return filepath.Join(dir, "pool")
}

func makeExt4(t *testing.T, dir string) {
	t.Helper()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 16<<20), os.Mkdir(mount, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-b", "4096", "-m", "0", image}, {"mount", "-o", "loop", image, mount}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no ext4 of its own: %v: %v %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
}

// onExt4 fills the file system, but for so many pages.
func onExt4(t *testing.T, dir string, pages int) string {
	t.Helper()
	mount := filepath.Join(dir, "mount")
	filler, pool := filepath.Join(mount, "filler"), filepath.Join(mount, "pool")
	os.Remove(filler)
	os.Remove(pool)
	if err := exec.Command("sync", "-f", mount).Run(); err != nil { // what was removed is free then
		t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(mount, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := sys.Fallocate(f, 0, (int64(st.Bavail)-int64(pages))*4096); err != nil {
		t.Fatal(err)
	}
	return pool
}

// fillDisk makes a pool, fills it or the disk, uses what is full, and opens it again. It reports
// whether the disk was full.
func fillDisk(name string) (full bool, err error) {
	o := hostileOptions()
	o.Sparse = true
	p, err := Create(name, hostileSize, o)
	if err != nil {
		if _, found := os.Stat(name); !errors.Is(found, os.ErrNotExist) || !errors.Is(err, syscall.ENOSPC) {
			return true, fmt.Errorf("%w, and the file: %w", err, found)
		}
		return true, nil
	}
	made, err := fillPool(p, &full)
	if err != nil {
		return full, err
	}
	err = p.Update(ctx, func(tx *Tx) error { _, err := AllocBytes(tx, make([]byte, 20_000)); return err })
	full = errors.Is(err, syscall.ENOSPC)
	if made, err = useFull(p, made); err != nil {
		return full, err
	}
	for range 2 {
		if err := p.Close(); err != nil {
			return full, err
		}
		if p, err = Open(name, o); err != nil {
			return full, err
		}
		if _, err := (&contents{live: made}).check(p); err != nil {
			return full, err
		}
	}
	return full, p.Close()
}

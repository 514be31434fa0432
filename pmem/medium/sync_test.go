package medium_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium"
)

// dirty returns how many pages of a range of the file the kernel has not written.
func dirty(t *testing.T, file string, off, n int64) uint64 {
	t.Helper()
	f, err := os.Open(file)
	ok(t, err)
	defer f.Close()
	counts, err := sys.CachedPages(f, uint64(off), uint64(n))
	if errors.Is(err, syscall.ENOSYS) {
		t.Skip("no cachestat, which Linux has since 6.5")
	}
	ok(t, err)
	return counts.Dirty + counts.Writeback
}

const page = 4096

// What each call leaves unwritten, as the kernel counts it. The control is in each step: the
// stores before it are dirty.
func TestSyncsReachTheDevice(t *testing.T) {
	for name, tt := range map[string]struct {
		call   func(m *medium.Medium, p *medium.Thread) error
		covers [2]int64 // what must be clean after it
		rest   bool     // whether the rest may be clean too
	}{
		"Persist":       {func(m *medium.Medium, _ *medium.Thread) error { return m.Persist(8*page, 2*page) }, [2]int64{8 * page, 2 * page}, false},
		"Write":         {func(m *medium.Medium, _ *medium.Thread) error { return m.Write(9*page+8, make([]byte, page), 0) }, [2]int64{9 * page, 2 * page}, false},
		"StorePersist8": {func(m *medium.Medium, _ *medium.Thread) error { return m.StorePersist8(8*page, 1, 0) }, [2]int64{8 * page, page}, false},
		"PersistAll": {func(m *medium.Medium, _ *medium.Thread) error {
			return m.PersistAll([]medium.Extent{{Off: 0, Len: 8}, {Off: 15 * page, Len: 8}})
		}, [2]int64{0, 16 * page}, true},
		"SyncFile": {func(m *medium.Medium, _ *medium.Thread) error { return m.SyncFile() }, [2]int64{0, 16 * page}, true},
		"Flush and Fence": {func(_ *medium.Medium, p *medium.Thread) error {
			return errors.Join(p.Flush(8*page, 1), p.Fence())
		}, [2]int64{8 * page, page}, false},
		"Stream and Fence": {func(_ *medium.Medium, p *medium.Thread) error {
			return errors.Join(p.Stream(8*page, make([]byte, 64), 0), p.Stream(12*page, make([]byte, 64), 0), p.Fence())
		}, [2]int64{8 * page, 5 * page}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, file := grounds[2].create(t, 16*page, 16*page)
			p := m.Pin()
			defer p.Unpin()
			for try := range 5 {
				for at := int64(0); at < 16*page; at += page {
					ok(t, m.Store8(at, uint64(try+1), 0))
				}
				before := dirty(t, file, 0, 16*page)
				ok(t, tt.call(m, p))
				if left := dirty(t, file, tt.covers[0], tt.covers[1]); left != 0 {
					t.Fatalf("%d pages of what it covers are not written", left)
				}
				after := dirty(t, file, 0, 16*page)
				if before == 16 && (tt.rest || after > 0) {
					return
				}
			}
			t.Skip("the kernel wrote the pages by itself, five times")
		})
	}
}

// A flush without a fence syncs nothing, and a fence that waits for nothing costs nothing.
func TestFlushAloneSyncsNothing(t *testing.T) {
	m, file := grounds[2].create(t, 16*page, 16*page)
	p := m.Pin()
	defer p.Unpin()
	for range 5 {
		ok(t, m.Store8(0, 1, 0), p.Fence())
		if dirty(t, file, 0, page) == 1 {
			return
		}
	}
	t.Error("a fence without a flush wrote the page")
}

// A sync of the directory asks the kernel, whose errors are ErrSync.
func TestSyncDirectory(t *testing.T) {
	m, _ := grounds[1].create(t, page, page)
	ok(t, m.SyncDirectory(), m.LoseDirectory())
	if err := m.SyncDirectory(); !errors.Is(err, medium.ErrSync) {
		t.Errorf("a sync of a directory that is not there: %v", err)
	}
}

// A sync that the device fails is ErrSync, and no later one of any kind succeeds: the kernel
// tells of the loss once. The device is a loop on a file that can't grow, so the kernel says
// ENOSPC, or EIO as of other devices.
func TestDeviceFails(t *testing.T) { mounting(t, deviceFails) }

// mounting runs fn in a process of its own, which may mount what nobody else sees.
func mounting(t *testing.T, fn func(t *testing.T, dir string)) {
	const variable = "SAFEVMA_TEST_DEVICE"
	if dir := os.Getenv(variable); dir != "" {
		fn(t, dir)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("not root, who may mount")
	}
	for _, tool := range []string{"unshare", "mount", "mkfs.ext4"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	c := exec.Command("unshare", "--mount", "--propagation", "private", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	c.Env = append(os.Environ(), variable+"="+t.TempDir())
	out, err := c.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
}

// run runs a tool that may be absent, or not allowed here.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %v: %v\n%s", name, args, err, out)
	}
}

// A full device costs nothing that was there: an extension that fails leaves the file as long as
// it was, and what is allocated can be opened, however little is free.
func TestFullDevice(t *testing.T) {
	t.Run("ext4", func(t *testing.T) {
		mounting(t, func(t *testing.T, dir string) { fullDevice(t, dir, "mkfs.ext4", 32<<20) })
	})
	t.Run("xfs", func(t *testing.T) {
		mounting(t, func(t *testing.T, dir string) { fullDevice(t, dir, "mkfs.xfs", 320<<20) })
	})
}

func fullDevice(t *testing.T, dir, mkfs string, size int64) {
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	ok(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, size), os.Mkdir(mounted, 0o700))
	run(t, mkfs, "-q", image)
	run(t, "mount", "-o", "loop", image, mounted)
	defer exec.Command("umount", mounted).Run()
	name := filepath.Join(mounted, "pool")
	m, err := medium.Create(name, size/2, medium.Options{Most: 2 * size})
	ok(t, err)
	ok(t, m.SyncFile(), m.Link(), m.SyncDirectory())
	if err := m.Extend(2 * size); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than the device has: %v", err)
	}
	st, err := os.Stat(name)
	if ok(t, err); st.Size() != size/2 || m.Size() != size/2 {
		t.Errorf("%d bytes, the file %d, not %d as before", m.Size(), st.Size(), size/2)
	}
	ok(t, m.Extend(size/2+page), m.Close())
	m, err = medium.Open(name, medium.Options{})
	ok(t, err)
	if m.Size() != size/2+page {
		t.Errorf("opened anew, it has %d bytes", m.Size())
	}
	ok(t, m.Close())
}

func deviceFails(t *testing.T, dir string) {
	run := func(name string, args ...string) { t.Helper(); run(t, name, args...) }
	run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir)
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	ok(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20), os.Mkdir(mounted, 0o700))
	run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", "-O", "^has_journal", image)
	run("mount", "-o", "loop,errors=continue", image, mounted)
	defer exec.Command("umount", mounted).Run()

	m, err := medium.Create(filepath.Join(mounted, "pool"), 32<<20, medium.Options{})
	ok(t, err)
	defer m.Close()
	if m.Info().Kind != medium.PageCache {
		t.Fatalf("%+v", m.Info())
	}
	ok(t, m.Write(8<<20, make([]byte, page), medium.Log), m.Store8(9<<20, 1, 0), m.Persist(9<<20, 8), m.SyncFile())
	fill(t, filepath.Join(dir, "filler"))

	// The control stands above: the same calls on the same file, while there was room.
	err = m.Write(16<<20, make([]byte, 64<<10), medium.Log)
	if !errors.Is(err, medium.ErrSync) || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write to a device that fails: %v", err)
	}
	ok(t, os.Remove(filepath.Join(dir, "filler")))
	for name, err := range map[string]error{
		"the same write": m.Write(16<<20, make([]byte, 64<<10), medium.Log),
		"Persist":        m.Persist(0, 8),
		"PersistAll":     m.PersistAll([]medium.Extent{{Off: 0, Len: 8}}),
		"SyncFile":       m.SyncFile(),
	} {
		if !errors.Is(err, medium.ErrSync) {
			t.Errorf("%s after a sync failed, with room again: %v", name, err)
		}
	}
	ok(t, m.Store8(0, 1, 0), m.Read(0, make([]byte, 8)))
}

// fill takes all space of a file system.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	ok(t, err)
	defer f.Close()
	for size := 1 << 20; size >= page; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if _, err := f.Write(make([]byte, page)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system is not full: %v", err)
	}
}

// The race detector sees a race on a volatile medium. The control is the same with a lock,
// which it must not report.
func TestSeededRace(t *testing.T) {
	const variable = "SAFEVMA_TEST_RACE"
	if locked, err := strconv.ParseBool(os.Getenv(variable)); err == nil {
		race(t, locked)
		return
	}
	if !medium.RaceEnabled {
		t.Skip("not built with -race")
	}
	if out, err := child(t, "TestSeededRace", variable+"=false"); err == nil || !strings.Contains(out, "DATA RACE") {
		t.Errorf("the race was not seen: %v\n%s", err, out)
	}
	if out, err := child(t, "TestSeededRace", variable+"=true"); err != nil {
		t.Errorf("a race where there is none: %v\n%s", err, out)
	}
}

func race(t *testing.T, locked bool) {
	m, err := medium.NewVolatile(4096, 4096)
	ok(t, err)
	defer m.Close()
	mu := m.NewMutex()
	done := make(chan error, 2)
	for i := range 2 {
		m.Go(func() {
			if locked {
				mu.Lock()
				defer mu.Unlock()
			}
			done <- errors.Join(m.Store(64+int64(i), []byte("racing"), 0), m.Store8(128, uint64(i), 0))
		})
	}
	ok(t, <-done, <-done)
}

package region_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region"
)

// The kernel does not take secret memory for its own use.
func TestSecretGivenToTheKernel(t *testing.T) {
	secret := mapped(t, 4096, region.Secret())
	ordinary := mapped(t, 4096)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ways := map[string]func(b []byte) error{"vmsplice": func(b []byte) error { _, err := sys.Vmsplice(w, b); return err }}
	if direct, err := sys.OpenDirect(filepath.Join(t.TempDir(), "direct")); err == nil {
		defer direct.Close()
		// A tmpfs takes the flag, and copies all the same.
		if magic, err := sys.FileSystem(direct); err == nil && magic != sys.MagicTmpfs {
			ways["write with O_DIRECT"] = func(b []byte) error { _, err := sys.Pwrite(direct, b, 0); return err }
			if n, err := sys.Pwrite(direct, ordinary.Bytes(), 0); err == nil && n == 4096 { // or there is nothing to read
				ways["read with O_DIRECT"] = func(b []byte) error { _, err := sys.Pread(direct, b, 0); return err }
			}
		}
	}
	if u, err := sys.NewUring(); err == nil { // buffers of one ring are registered once
		u.Close()
		ways["buffers of io_uring"] = func(b []byte) error {
			u, err := sys.NewUring()
			if err != nil {
				return err
			}
			defer u.Close()
			return u.RegisterBuffer(b)
		}
	}
	for name, way := range ways {
		if err := way(ordinary.Bytes()); err != nil {
			t.Logf("%s is not possible here at all: %v", name, err)
			continue
		}
		if err := way(secret.Bytes()); !errors.Is(err, syscall.EFAULT) {
			t.Errorf("%s of secret memory: %v, want EFAULT", name, err)
			continue
		}
		t.Logf("%s: refused with EFAULT, and ordinary memory taken", name)
	}
}

// Neither the kernel's buffers nor its reads get write access to read-only memory.
func TestReadOnlyGivenToTheKernel(t *testing.T) {
	table := mapped(t, 4096, region.ReadOnly(func(b []byte) error { mark(b, "table"); return nil }))
	ordinary := mapped(t, 4096)
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	u, err := sys.NewUring()
	if err != nil {
		t.Skip("no io_uring here: ", err)
	}
	defer u.Close()
	for name, way := range map[string]func(b []byte) error{
		"buffers of io_uring":     u.RegisterBuffer,
		"a read by io_uring":      func(b []byte) error { _, err := u.ReadInto(zero, b); return err },
		"a read into it, read(2)": func(b []byte) error { _, err := zero.Read(b); return err },
	} {
		if err := way(table.Bytes()); !errors.Is(err, syscall.EFAULT) {
			t.Errorf("%s of read-only memory: %v, want EFAULT", name, err)
		}
		if err := way(ordinary.Bytes()); err != nil {
			t.Errorf("%s of ordinary memory: %v", name, err)
		}
	}
	want := make([]byte, 4096)
	mark(want, "table")
	if equal, err := table.Equal(want); !equal || err != nil {
		t.Error("it was changed: ", err)
	}
}

// Memory that must not be in swap can't be sent there; ordinary memory can, where there is swap.
func TestPageout(t *testing.T) {
	const pageout = 21 // MADV_PAGEOUT
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil {
		t.Skip(err)
	}
	ordinary := mapped(t, 4*4096)
	mark(ordinary.Bytes(), "ordinary")
	if err := sys.Madvise(ordinary.Bytes(), pageout); err != nil {
		t.Skip("MADV_PAGEOUT: ", err)
	}
	if strings.Count(string(swaps), "\n") < 2 {
		t.Log("no swap here: that ordinary memory would go there is not seen, but that the kernel takes the call")
	} else if !swapped(t, ordinary.Bytes()) {
		t.Log("the kernel did not send ordinary memory to swap")
	}
	for name, options := range map[string][]region.Option{
		"Resident": {region.Resident()}, "NoSwap": {region.NoSwap()},
		"Secret": {region.Secret()}, "Resident and Sealed": {region.Resident(), region.Sealed()},
	} {
		r := mapped(t, 4*4096, options...)
		mark(r.Bytes(), name)
		// 7.3 takes the call for secret memory, whose pages are on no list to be sent from.
		if err := sys.Madvise(r.Bytes(), pageout); !errors.Is(err, syscall.EINVAL) && (name != "Secret" || err != nil) {
			t.Errorf("%s: %v, want EINVAL", name, err)
		}
		if swapped(t, r.Bytes()) {
			t.Errorf("%s is in swap", name)
		}
	}
}

func swapped(t *testing.T, b []byte) (is bool) {
	t.Helper()
	p, err := process.Default().Self()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	start := uint64(address(b))
	err = new(vma.Reader).Pages(p, start, start+uint64(len(b)), func(_ uint64, page vma.Page) error {
		is = is || page.Swapped()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// While there is secret memory, the machine does not hibernate.
func TestHibernation(t *testing.T) {
	const file = "/sys/power/disk"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Skip("this kernel can't hibernate: ", err)
	}
	if strings.Contains(string(before), "[disabled]") {
		t.Skip("hibernation is disabled without this test")
	}
	mapped(t, 4096, region.Secret())
	if with, err := os.ReadFile(file); err != nil || !strings.Contains(string(with), "[disabled]") {
		t.Errorf("with secret memory: %q %v, want [disabled]; without: %q", with, err, before)
	}
}

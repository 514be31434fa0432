package image

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Another program that knows the format reads the archive.
func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := NewArchive(&b)
	a.Directory("dir")
	a.File("dir/file", 0o640, []byte("some text\n"))
	a.Character("console", 5, 1)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes: not padded", b.Len())
	}
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio: \"make deps\" installs it")
	}
	cmd := exec.Command("cpio", "-itv", "--quiet")
	cmd.Stdin = &b
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"drwxr-xr-x", "-rw-r-----", "10 Jan", "dir/file", "crw-------", "5,   1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("cpio says %s, and not %q", out, want)
		}
	}
}

// The layout of struct nd_pfn_sb (drivers/nvdimm/pfn.h). That the kernel takes it is what
// the lab's own tests show.
func TestInfoBlock(t *testing.T) {
	const size = 256 << 20
	b := infoBlock(signatureFSDAX, size, [16]byte{1, 2, 3})
	if len(b) != 4096 || string(b[:16]) != "NVDIMM_PFN_INFO\x00" {
		t.Errorf("%d bytes, %q", len(b), b[:16])
	}
	le := binary.LittleEndian
	if dataoff, npfns, mode := le.Uint64(b[56:]), le.Uint64(b[64:]), le.Uint32(b[72:]); dataoff != 2<<20 || npfns != (size-2<<20)/4096 || mode != 1 {
		t.Errorf("dataoff %d, npfns %d, mode %d", dataoff, npfns, mode)
	}
	// Fletcher's sum over a block in which the place of the sum counts as zero.
	sum := le.Uint64(b[4088:])
	if sum != fletcher64(b) {
		t.Error("the sum depends on itself")
	}
	b[100]++
	if sum == fletcher64(b) {
		t.Error("a changed byte leaves the sum as it was")
	}
	var words [16]byte
	le.PutUint32(words[0:], 1)
	le.PutUint32(words[4:], 0xffffffff)
	if got := fletcher64(words[:]); got != 0x1_00000000 { // low 1+0xffffffff = 0, high 1+0+0+0
		t.Errorf("a sum by hand: %#x", got)
	}
}

func TestPrivateCopiesDataAndNotHoles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "source")
	const size = 64 << 20
	file, err := sparse(path, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 5 << 20, size - 4096} {
		if _, err := file.WriteAt(bytes.Repeat([]byte{7}, 4096), at); err != nil {
			t.Fatal(err)
		}
	}
	file.Close()
	private, err := Private(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("a name leads to the copy: %v, %v", entries, err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, size)
	if _, err := private.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy differs: %v", err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(private.Fd()), &st); err != nil || st.Blocks*512 > 1<<20 {
		t.Errorf("the copy takes %d bytes: %v", st.Blocks*512, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	if err := NVDIMM(filepath.Join(dir, "n"), "ext4", 3<<20); err == nil || !strings.Contains(err.Error(), "multiple of 2097152") {
		t.Errorf("an odd size: %v", err)
	}
	if err := Disk(filepath.Join(dir, "d"), "ntfs", 64<<20); err == nil || !strings.Contains(err.Error(), "want ext4 or xfs") {
		t.Errorf("an unknown file system: %v", err)
	}
}

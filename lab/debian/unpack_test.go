package debian

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// modinfo makes an object file with a section .modinfo, as a module has.
func modinfo(t *testing.T, depends string) []byte {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc: \"make deps\" installs it")
	}
	dir := t.TempDir()
	source := `__attribute__((section(".modinfo"), used)) static const char d[] = "license=GPL\0depends=` + depends + `";`
	if err := os.WriteFile(filepath.Join(dir, "m.c"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("gcc", "-c", "-o", filepath.Join(dir, "m.o"), filepath.Join(dir, "m.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	object, err := os.ReadFile(filepath.Join(dir, "m.o"))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func packed(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archive(t *testing.T, files map[string][]byte) *tar.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&b)
}

// Both ways in which packages have laid kernels out: plain modules and the configuration
// in /boot, and packed modules with all below /usr/lib/modules.
func TestKernelFiles(t *testing.T) {
	ext4, jbd2, other := modinfo(t, "jbd2"), modinfo(t, ""), modinfo(t, "")
	for name, files := range map[string]map[string][]byte{
		"6.1": {"./boot/vmlinuz-6.1": []byte("image"), "./boot/config-6.1": []byte("CONFIG_X=y"),
			"./lib/modules/6.1/kernel/fs/ext4/ext4.ko": ext4, "./lib/modules/6.1/kernel/fs/jbd2/jbd2.ko": jbd2, "./lib/modules/6.1/kernel/o.ko": other},
		"7.3": {"./usr/lib/modules/7.3/vmlinuz": []byte("image"), "./usr/lib/modules/7.3/config": []byte("CONFIG_X=y"), "./usr/lib/modules/7.3/System.map": nil,
			"./usr/lib/modules/7.3/kernel/fs/ext4/ext4.ko.xz": packed(t, ext4), "./usr/lib/modules/7.3/kernel/fs/jbd2/jbd2.ko.xz": packed(t, jbd2), "./usr/lib/modules/7.3/kernel/o.ko.xz": packed(t, other)},
	} {
		k := &kernelFiles{modules: map[string][]byte{}, depends: map[string][]string{}}
		all := map[string][]byte{}
		if err := k.members(archive(t, files), all); err != nil {
			t.Fatal(err)
		}
		if err := k.keep(all, []string{"built_in", "ext4"}); err != nil {
			t.Fatal(err)
		}
		if string(k.image) != "image" || string(k.config) != "CONFIG_X=y" {
			t.Errorf("%s: image %q, configuration %q", name, k.image, k.config)
		}
		if len(k.modules) != 2 || !bytes.Equal(k.modules["ext4"], ext4) || !bytes.Equal(k.modules["jbd2"], jbd2) || strings.Join(k.depends["ext4"], " ") != "jbd2" {
			t.Errorf("%s: %d modules, %v", name, len(k.modules), k.depends)
		}
	}
}

func TestCacheAndWhatIsMissing(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	if _, err := c.Cached("6.12", "amd64"); err == nil || !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("an empty cache: %v", err)
	}
	if _, err := c.Add(t.Context(), []string{"nothing_1_amd64.deb"}); err == nil || !strings.Contains(err.Error(), "linux-image") {
		t.Errorf("no kernel package: %v", err)
	}
	broken := filepath.Join(c.Dir, "linux-image-6.12.1+deb12-amd64_1_amd64.deb")
	if err := os.WriteFile(broken, []byte("no package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Add(t.Context(), []string{broken}); err == nil || !strings.Contains(err.Error(), filepath.Base(broken)) {
		t.Errorf("a broken package: %v", err)
	}
	if kernels, err := c.Kernels(); len(kernels) != 0 || err != nil {
		t.Errorf("after errors the cache has %v, %v", kernels, err)
	}
	left, err := filepath.Glob(filepath.Join(c.Dir, "fetch-*"))
	if len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

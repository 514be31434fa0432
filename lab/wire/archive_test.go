package wire

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackAndUnpack(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	write := func(name, text string, perm os.FileMode) {
		t.Helper()
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), perm); err != nil {
			t.Fatal(err)
		}
	}
	write("a/program", "#!", 0o755)
	write("a/data", "text", 0o640)
	write(".git/objects", "history", 0o644)
	if err := os.Symlink("data", filepath.Join(source, "a/link")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	leave := func(path string, _ fs.DirEntry) bool { return filepath.Base(path) == ".git" }
	if err := Pack(archive, source, leave); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(&b, target, nil); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(target, source)
	if info, err := os.Stat(filepath.Join(at, "a/program")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(at, "a/link")); string(text) != "text" || err != nil {
		t.Errorf("through the link: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
		t.Error("what was to be left out came along")
	}
}

// What a guest sends back can't be laid out where nobody asked for it.
func TestUnpackStaysWhereItMay(t *testing.T) {
	allow := func(path string) bool { return strings.HasPrefix(path, "/out/") || path == "/out" }
	for _, tt := range []struct {
		header tar.Header
		ok     bool
	}{
		{tar.Header{Name: "out/file", Typeflag: tar.TypeReg}, true},
		{tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg}, false},
		{tar.Header{Name: "out/../etc/passwd", Typeflag: tar.TypeReg}, false},
		{tar.Header{Name: "../../etc/passwd", Typeflag: tar.TypeReg}, false},
		{tar.Header{Name: "out/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, false},
		{tar.Header{Name: "out/device", Typeflag: tar.TypeChar}, false},
		{tar.Header{Name: "out/hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, false},
	} {
		var b bytes.Buffer
		archive := tar.NewWriter(&b)
		if err := archive.WriteHeader(&tt.header); err != nil {
			t.Fatal(err)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		if err := Unpack(&b, root, allow); (err == nil) != tt.ok {
			t.Errorf("%s (%q): %v", tt.header.Name, tt.header.Typeflag, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Unpack(bytes.NewReader(b), t.TempDir(), func(string) bool { return false })
	})
}

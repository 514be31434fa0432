package damon

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// writeTree writes a model as the kernel would show it: the other way round of the reader,
// by the same tags. That the names are the kernel's is what TestTree618 and TestLive say.
func writeTree(t *testing.T, dir string, v reflect.Value) {
	t.Helper()
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	makeDir(t, dir)
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous {
			writeTree(t, dir, v.Field(i))
			continue
		}
		tag, ok := tagOf(v.Type().Field(i))
		field, path := v.Field(i), filepath.Join(dir, tag.name)
		switch {
		case !ok, tag.optional && field.IsNil():
		case tag.list:
			makeDir(t, path)
			for n := range field.Len() {
				writeTree(t, filepath.Join(path, strconv.Itoa(n)), field.Index(n))
			}
			if tag.count != "*" {
				writeFile(t, filepath.Join(path, tag.count), strconv.Itoa(field.Len()))
			}
		case tag.scalar:
			writeFile(t, path, format(reflect.Indirect(field)))
		default:
			writeTree(t, path, field)
		}
	}
}

func makeDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	makeDir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fake writes the interface to a directory of its own.
func fake(t *testing.T, in *Interface) FS {
	t.Helper()
	f := At(t.TempDir())
	writeTree(t, f.Admin(), reflect.ValueOf(in))
	return f
}

// fill gives every field a value of its own, and every list two members.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if _, ok := tagOf(v.Type().Field(i)); ok || v.Type().Field(i).Anonymous {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Bool:
		v.SetBool(*n%2 == 0)
	case reflect.Uint64:
		v.SetUint(math.MaxUint64 - uint64(*n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(-*n))
	case reflect.String:
		v.SetString("word-" + strconv.Itoa(*n))
	}
}

// text618 is what the interface of Linux 6.18 shows of a daemon that pages out what is idle
// (name = content), without what a kernel has none of.
func text618(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/tree-6.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, content, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " =")
		if !ok {
			t.Fatalf("%q", line)
		}
		files[name] = strings.TrimPrefix(content, " ")
	}
	return files
}

func tree618(t *testing.T) FS {
	t.Helper()
	f := At(t.TempDir())
	for name, content := range text618(t) {
		writeFile(t, filepath.Join(f.Admin(), name), content)
	}
	return f
}

// content returns all files below a directory with what they say.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = strings.TrimSuffix(string(text), "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

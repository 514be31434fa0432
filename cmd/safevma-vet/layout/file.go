package layout

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// File is the name of the lock file, beside the package's source.
const File = "pmem.layout"

const head = `# The layout of the types that this package keeps in pools, on amd64 and arm64.
# Written by "safevma-vet -layout.update"; commit it. A change here means that pools which
# exist hold something else.
# type	field	kind	offset	size
`

// write replaces a lock file as a whole. Without fields there is to be none.
func write(name string, fields []field) error {
	if len(fields) == 0 {
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	var b bytes.Buffer
	b.WriteString(head)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%d\t%d\n", f.typ, f.path, f.kind, f.offset, f.size)
	}
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	return replace(name, b.Bytes())
}

// replace: a package and its test variant may be written at the same time.
func replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), File+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// read returns a lock file's fields, and false if there is no such file.
func read(name string) ([]field, bool, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	fields, err := parse(f)
	return fields, true, err
}

func parse(r io.Reader) ([]field, error) {
	var list []field
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, f)
	}
	return list, lines.Err()
}

func parseLine(line string) (field, error) {
	column := strings.Split(line, "\t")
	if len(column) != 5 {
		return field{}, fmt.Errorf("%d columns instead of 5, which tabs divide", len(column))
	}
	offset, err := strconv.ParseInt(column[3], 10, 64)
	if err != nil {
		return field{}, fmt.Errorf("offset: %w", err)
	}
	size, err := strconv.ParseInt(column[4], 10, 64)
	if err != nil {
		return field{}, fmt.Errorf("size: %w", err)
	}
	return field{column[0], column[1], column[2], offset, size}, nil
}

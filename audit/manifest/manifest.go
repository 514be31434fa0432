// Package manifest declares the address space of a program: which VMAs it is
// expected to have. What a process has beyond that, or lacks, is a difference; a
// safety engineer writes the manifest once, from a run that was looked at, and every
// later run is held against it (requirement SV-TOP-03).
//
// A manifest is YAML, made to be read and edited:
//
//	schema: safevma.manifest/v1
//	program:
//	    exe: /usr/sbin/brake
//	    sha256: 5f0c…
//	vmas:
//	    - {path: /usr/lib/libc.so.6, perms: r-xp, offset: 0x28000, size: 1658880, max_count: 1, required: true}
//	    - {name: "[heap]", perms: rw-p, max_count: 1, max_bytes: 270336}
//	    - {name: "", perms: rw-p, flags: [lo], max_count: 24, max_bytes: 8388608}
//
// Addresses are left out, since they change with every start. A mapping of a file is
// named by path, offset and size; what has no file by its name ("" for anonymous
// memory), with a bound on number and bytes, since allocators grow and the kernel
// merges neighbours. So are memfds and other shared memory that the kernel keeps as
// files, which no file system has. The content of files is not compared. Of the VmFlags those count that carry a guarantee, see
// [Guarded].
package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/safevma/safevma/kernel/vma"
)

// Schema names the format.
const Schema = "safevma.manifest/v1"

// Manifest is what is expected of the address space of a program.
type Manifest struct {
	Schema  string  `yaml:"schema"`
	Program Program `yaml:"program"`
	VMAs    []Entry `yaml:"vmas"`
}

// Program says which program it is.
type Program struct {
	// Exe is the path of the program, as the link /proc/PID/exe says it.
	Exe string `yaml:"exe"`
	// SHA256 is the digest of the file that runs, in hexadecimal. Empty: any.
	SHA256 string `yaml:"sha256,omitempty"`
}

// Entry allows some VMAs. Names and paths are written as guarantee.Text makes them.
type Entry struct {
	// Path of the mapped file, or a pattern as of path.Match.
	Path string `yaml:"path,omitempty"`
	// Name is what the kernel says where no file is mapped, or memory that it keeps as a
	// file of its own, such as a memfd; "" for anonymous memory.
	Name  *string `yaml:"name,omitempty"`
	Perms string  `yaml:"perms"`
	// Flags are the guarding VmFlags that the VMA must have; it may not have others.
	Flags []string `yaml:"flags,omitempty,flow"`
	// Offset into the file and Size, in bytes. Left out: any.
	Offset *uint64 `yaml:"offset,omitempty"`
	Size   *uint64 `yaml:"size,omitempty"`
	// MaxCount and MaxBytes bound how many such VMAs there may be, and their bytes
	// together. 0: no bound.
	MaxCount int    `yaml:"max_count,omitempty"`
	MaxBytes uint64 `yaml:"max_bytes,omitempty"`
	// Required: at least one must be there.
	Required bool `yaml:"required,omitempty"`

	perm  vma.Perm
	flags vma.Flags
}

// Guarded are the VmFlags that carry a guarantee, or break one. The others come and
// go with advice and accounting.
const Guarded = vma.FlagLocked | vma.FlagLockOnFault | vma.FlagSealed | vma.FlagDontDump | vma.FlagDontCopy |
	vma.FlagWipeOnFork | vma.FlagDroppable | vma.FlagMergeable | vma.FlagGrowsDown | vma.FlagIO | vma.FlagPFNMap |
	vma.FlagHugetlb | vma.FlagSync | vma.FlagMTE | vma.FlagBTI | vma.FlagShadowStack

// ErrInvalid is wrapped by errors about the content of a manifest.
var ErrInvalid = errors.New("invalid manifest")

const maxSize = 16 << 20

// Load reads a manifest. Errors name the line.
func Load(r io.Reader) (*Manifest, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, maxSize)
	}
	if empty(data) {
		return nil, fmt.Errorf("%w: it is empty: make it with \"safevma baseline PID\"", ErrInvalid)
	}
	var m Manifest
	if err := yaml.Load(data, &m, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if m.Schema != Schema {
		return nil, fmt.Errorf("%w: schema is %q; this version reads %q", ErrInvalid, m.Schema, Schema)
	}
	if m.Program.Exe == "" {
		return nil, fmt.Errorf("%w: program.exe is missing: which program is it for?", ErrInvalid)
	}
	if digest, err := hex.DecodeString(m.Program.SHA256); m.Program.SHA256 != "" && (err != nil || len(digest) != sha256.Size) {
		return nil, fmt.Errorf("%w: program.sha256 %q: want 64 hexadecimal digits", ErrInvalid, m.Program.SHA256)
	}
	m.Program.SHA256 = strings.ToLower(m.Program.SHA256)
	if len(m.VMAs) == 0 {
		return nil, fmt.Errorf("%w: vmas is empty: make it with \"safevma baseline PID\"", ErrInvalid)
	}
	for i := range m.VMAs {
		if err := m.VMAs[i].compile(); err != nil {
			return nil, fmt.Errorf("%w: vmas, entry %d: %w", ErrInvalid, i+1, err)
		}
	}
	return &m, nil
}

// empty reports whether there is nothing but comments.
func empty(data []byte) bool {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// compile checks an entry and readies it for matching.
func (e *Entry) compile() error {
	if (e.Path == "") == (e.Name == nil) {
		return errors.New("want either path or name")
	}
	if _, err := path.Match(e.Path, ""); err != nil {
		return fmt.Errorf("path %q: %w", e.Path, err)
	}
	if kernelMemory(e.Path) {
		return fmt.Errorf("path %q is no file but memory of the kernel: give it as name, with max_bytes", e.Path)
	}
	if e.Path == "" && (e.Offset != nil || e.Size != nil) {
		return errors.New("offset and size are of files alone: bound other memory with max_bytes")
	}
	e.perm = 0
	for i, c := range []byte("rwxs") {
		if len(e.Perms) != 4 || e.Perms[i] != c && e.Perms[i] != "---p"[i] {
			return fmt.Errorf("perms %q: want four letters as in /proc/PID/maps, such as r-xp", e.Perms)
		}
		if e.Perms[i] == c {
			e.perm |= 1 << i
		}
	}
	e.flags = 0
	for _, code := range e.Flags {
		f, ok := vma.ParseFlag(code)
		if !ok || !Guarded.Has(f) {
			return fmt.Errorf("flag %q: want some of %s", code, Guarded)
		}
		e.flags |= f
	}
	if e.MaxCount < 0 {
		return fmt.Errorf("max_count %d is negative", e.MaxCount)
	}
	return nil
}

// Write writes the manifest as YAML, below the given comment.
func (m *Manifest) Write(w io.Writer, comment string) error {
	data, err := yaml.Dump(m, yaml.WithIndent(4))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for line := range strings.Lines(comment) {
		b.WriteString("# " + line)
	}
	if comment != "" && !strings.HasSuffix(comment, "\n") {
		b.WriteByte('\n')
	}
	b.Write(data)
	_, err = w.Write(b.Bytes())
	return err
}

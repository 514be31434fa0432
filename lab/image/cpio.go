package image

import (
	"fmt"
	"io"
)

// Archive writes an initial RAM file system: a cpio archive in the "newc" form.
// Source: Documentation/driver-api/early-userspace/buffer-format.rst.
type Archive struct {
	w     io.Writer
	inode int
	err   error
}

// NewArchive returns an archive that is written to w.
func NewArchive(w io.Writer) *Archive { return &Archive{w: w} }

// File modes, as in stat(2).
const (
	modeDirectory = 0o040000
	modeFile      = 0o100000
	modeCharacter = 0o020000
)

// Directory adds a directory. Parents come before what is in them.
func (a *Archive) Directory(name string) { a.entry(name, modeDirectory|0o755, 0, 0, nil) }

// File adds a file.
func (a *Archive) File(name string, perm uint32, content []byte) {
	a.entry(name, modeFile|perm, 0, 0, content)
}

// Character adds a character device.
func (a *Archive) Character(name string, major, minor uint32) {
	a.entry(name, modeCharacter|0o600, major, minor, nil)
}

// Close ends the archive, and returns the first error of writing it.
func (a *Archive) Close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

func (a *Archive) entry(name string, mode, major, minor uint32, content []byte) {
	a.inode++
	const magic, mtime, checksum, links = "070701", 0, 0, 1
	header := fmt.Sprintf("%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", magic,
		a.inode, mode, 0, 0, links, mtime, len(content), 0, 0, major, minor, len(name)+1, checksum)
	a.write([]byte(header + name + "\x00"))
	a.pad(len(header) + len(name) + 1)
	a.write(content)
	a.pad(len(content))
}

func (a *Archive) pad(n int) { a.write(make([]byte, -n&3)) }

func (a *Archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

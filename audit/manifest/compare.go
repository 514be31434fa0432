package manifest

import (
	"fmt"
	"path"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

// Comparison holds one address space against a manifest.
type Comparison struct {
	manifest *Manifest
	amounts  []amount
	// Differences are the lines that prove each difference, in the order in which
	// they were found.
	Differences []string
}

// Compare starts a comparison. A program that is another one is the first
// difference.
func (m *Manifest) Compare(program Program) *Comparison {
	c := &Comparison{manifest: m, amounts: make([]amount, len(m.VMAs))}
	if program.Exe != m.Program.Exe {
		c.differ("another program: %s runs, the manifest is for %s", program.Exe, m.Program.Exe)
	}
	if m.Program.SHA256 != "" && program.SHA256 != m.Program.SHA256 {
		c.differ("another version of the program: its file has SHA-256 %s, the manifest says %s", program.SHA256, m.Program.SHA256)
	}
	return c
}

func (c *Comparison) differ(format string, args ...any) {
	c.Differences = append(c.Differences, fmt.Sprintf(format, args...))
}

// Add compares one VMA, as [vma.Reader.Smaps] gives it.
func (c *Comparison) Add(v *vma.VMA) {
	k := keyOf(v)
	for i := range c.manifest.VMAs {
		if c.manifest.VMAs[i].allows(&k) {
			c.amounts[i].count++
			c.amounts[i].bytes += v.Size()
			return
		}
	}
	c.differ("unexpected: %s", line(v))
}

func line(v *vma.VMA) string {
	return fmt.Sprintf("%x-%x %s %08x %s %d %s VmFlags: %s", v.Start, v.End, v.Perm, v.Offset, v.Dev, v.Inode, guarantee.Text(v.Name), v.Flags)
}

func (e *Entry) allows(k *key) bool {
	if e.perm != k.perm || e.flags != k.flags {
		return false
	}
	if e.Size != nil && k.size != *e.Size {
		return false
	}
	if !k.file {
		return e.Name != nil && *e.Name == k.name
	}
	if e.Path == "" || e.Offset != nil && k.offset != *e.Offset {
		return false
	}
	ok, err := path.Match(e.Path, k.name)
	return err == nil && ok
}

// End ends the comparison: what there is too much of, and what is missing.
func (c *Comparison) End() {
	for i, e := range c.manifest.VMAs {
		a := c.amounts[i]
		if e.MaxCount > 0 && a.count > e.MaxCount {
			c.differ("too many: %d VMAs %s, the manifest allows %d", a.count, e.title(), e.MaxCount)
		}
		if e.MaxBytes > 0 && a.bytes > e.MaxBytes {
			c.differ("too large: %d bytes %s, the manifest allows %d", a.bytes, e.title(), e.MaxBytes)
		}
		if e.Required && a.count == 0 {
			c.differ("missing: %s", e.title())
		}
	}
}

func (e *Entry) title() string {
	s := e.Path
	switch {
	case e.Name != nil && *e.Name == "":
		s = "of anonymous memory"
	case e.Name != nil:
		s = *e.Name
	}
	s += " " + e.Perms
	if e.Offset != nil {
		s += fmt.Sprintf(" at offset %#x", *e.Offset)
	}
	if len(e.Flags) > 0 {
		s += fmt.Sprintf(" with flags %v", e.Flags)
	}
	return s
}

package view

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// Space is the address space of a process at one time.
type Space struct {
	VMAs   []vma.VMA // in the order of addresses, from smaps
	reader vma.Reader
	of     *process.Process
}

// Read reads smaps of a process.
func Read(p *process.Process) (*Space, error) {
	s := &Space{of: p}
	err := s.reader.Smaps(p, func(v *vma.VMA) error {
		s.VMAs = append(s.VMAs, v.Clone())
		return nil
	})
	return s, err
}

// Over returns the VMAs that overlap [start, end).
func (s *Space) Over(start, end uint64) []*vma.VMA {
	var over []*vma.VMA
	for i := range s.VMAs {
		if v := &s.VMAs[i]; v.Start < end && start < v.End {
			over = append(over, v)
		}
	}
	return over
}

// At returns the VMA at an address, or nil.
func (s *Space) At(addr uint64) *vma.VMA {
	if over := s.Over(addr, addr+1); len(over) > 0 {
		return over[0]
	}
	return nil
}

// Gaps says which parts of [start, end) are not mapped, as raw lines.
func (s *Space) Gaps(start, end uint64) []string {
	var gaps []string
	at := start
	for _, v := range s.Over(start, end) {
		if v.Start > at {
			gaps = append(gaps, fmt.Sprintf("%x-%x: no mapping", at, v.Start))
		}
		at = v.End
	}
	if at < end {
		gaps = append(gaps, fmt.Sprintf("%x-%x: no mapping", at, end))
	}
	return gaps
}

// Lacking returns the lines of those VMAs over [start, end) that lack one of the flags want, or
// have one of without; and of the parts without a mapping.
func (s *Space) Lacking(start, end uint64, want, without vma.Flags) []string {
	lines := s.Gaps(start, end)
	for _, v := range s.Over(start, end) {
		if !v.Flags.Has(want) || v.Flags&without != 0 {
			lines = append(lines, Line(v))
		}
	}
	return lines
}

// Lines returns the lines of all VMAs over [start, end).
func (s *Space) Lines(start, end uint64) []string {
	var lines []string
	for _, v := range s.Over(start, end) {
		lines = append(lines, Line(v))
	}
	return lines
}

// Others returns the VMAs that show a part of what v shows of a file: its aliases.
func (s *Space) Others(v *vma.VMA) []*vma.VMA {
	var others []*vma.VMA
	for i := range s.VMAs {
		o := &s.VMAs[i]
		sameFile := v.Inode != 0 && o.Inode == v.Inode && o.Dev == v.Dev && o.Start != v.Start
		if sameFile && o.Offset < v.Offset+v.Size() && v.Offset < o.Offset+o.Size() {
			others = append(others, o)
		}
	}
	return others
}

// Pages returns the entries of pagemap for [start, end).
func (s *Space) Pages(start, end uint64) ([]vma.Page, error) {
	var pages []vma.Page
	err := s.reader.Pages(s.of, start, end, func(_ uint64, page vma.Page) error {
		pages = append(pages, page)
		return nil
	})
	return pages, err
}

// Line is the kernel's words for a VMA in one line: the header of its record, and its flags.
func Line(v *vma.VMA) string {
	header, _, _ := bytes.Cut(v.Raw, []byte("\n"))
	line := strings.Join(strings.Fields(guarantee.Text(header)), " ")
	if v.Flags != 0 {
		line += "  VmFlags: " + v.Flags.String()
	}
	return line
}

package vma

import (
	"bytes"
	"fmt"
	"io"

	"github.com/safevma/safevma/kernel/process"
)

// list splits the text of maps or smaps into VMAs. Its buffer holds the record in hand
// from its first byte on, so that a VMA can lend its raw text; it grows to the longest
// record and stays. Each line is looked at once, when it is there.
type list struct {
	buf     []byte
	records bool // smaps: a VMA is a header and the fields below it
	vma     VMA
	header  int    // length of the header of the record in hand; 0 where there is none yet
	count   int    // VMAs so far
	last    uint64 // where the one before ended
}

const minBuffer = 64 << 10

// each calls fn for each VMA of text.
func (l *list) each(text io.Reader, records bool, fn func(*VMA) error) error {
	if l.buf == nil {
		l.buf = make([]byte, minBuffer)
	}
	l.records, l.header, l.count, l.last = records, 0, 0, 0
	start, pos, end := 0, 0, 0 // the record in hand, the line to be looked at, what was read
	for {
		for {
			n := bytes.IndexByte(l.buf[pos:end], '\n')
			if n < 0 {
				break
			}
			line := l.buf[pos : pos+n]
			if l.header > 0 && (!records || isHeader(line)) {
				if err := l.emit(l.buf[start:pos-1], fn); err != nil {
					return err
				}
				start = pos
			}
			if err := l.line(line); err != nil {
				return err
			}
			pos += n + 1
		}
		if start > 0 {
			copy(l.buf, l.buf[start:end])
			start, pos, end = 0, pos-start, end-start
		}
		if end == len(l.buf) {
			l.buf = append(l.buf, make([]byte, len(l.buf))...)
		}
		n, err := text.Read(l.buf[end:])
		end += n
		if err == io.EOF && n == 0 {
			return l.finish(l.buf[:end], pos, fn)
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
}

// line takes in one line: the header of a record, or a field of it.
func (l *list) line(line []byte) error {
	if l.header > 0 {
		return parseField(line, &l.vma)
	}
	l.vma.Flags, l.vma.Mem = 0, Mem{}
	if err := parseHeader(line, &l.vma); err != nil {
		return err
	}
	// A VMA may begin below the end of the one before: see the package comment.
	if l.vma.End <= l.last {
		return malformed(line, "the one before ends higher: a list never goes back")
	}
	l.header = len(line)
	return nil
}

// finish emits the last record. Text that ends inside a line was cut off.
func (l *list) finish(rest []byte, lines int, fn func(*VMA) error) error {
	if len(rest) > lines {
		return fmt.Errorf("%w: cut off after %q", process.ErrMalformed, rest[lines:])
	}
	if l.header == 0 {
		return nil
	}
	return l.emit(rest[:len(rest)-1], fn)
}

// emit hands out the record in hand, of which raw is the text. The buffer may have moved
// since its header was parsed.
func (l *list) emit(raw []byte, fn func(*VMA) error) error {
	v := &l.vma
	v.Name = raw[l.header-len(v.Name) : l.header : l.header]
	v.Raw = raw
	if l.records {
		if err := checkRecord(v); err != nil {
			return err
		}
	}
	l.header = 0
	l.last = v.End
	l.count++
	return fn(v)
}

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
	records bool        // smaps: a VMA is a header and the fields below it
	names   *exactNames // nil where names are left as they are
	stopped error       // what fn returned
	vma     VMA
	header  int    // length of the header of the record in hand; 0 where there is none yet
	next    int    // in the table of amounts: where the next one is looked for first
	count   int    // VMAs so far
	last    uint64 // where the one before ended
}

const minBuffer = 64 << 10

// each calls fn for each VMA of text. An error of fn is returned, and kept in stopped.
func (l *list) each(text io.Reader, records bool, fn func(*VMA) error) error {
	if l.buf == nil {
		l.buf = make([]byte, minBuffer)
	}
	l.vma, l.records, l.stopped = VMA{}, records, nil
	l.header, l.count, l.last = 0, 0, 0
	start, pos, end := 0, 0, 0 // the record in hand, the line to be looked at, what was read
	for {
		for pos < end {
			if l.header > 0 && (!records || isHeader(l.buf[pos])) {
				if err := l.emit(l.buf[start:pos-1], fn); err != nil {
					return err
				}
				start = pos
			}
			n, err := l.line(l.buf[pos:end])
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			pos += n
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

// line takes in the line at the begin of text, the header of a record or a field of it,
// and returns its length with the newline: 0 where text ends before that.
func (l *list) line(text []byte) (length int, err error) {
	var problem string
	if l.header > 0 {
		if l.amount(text) {
			return amountWidth, nil
		}
	} else if length, problem = l.parseHeader(text); problem == "" {
		return length, nil
	}
	n := bytes.IndexByte(text, '\n')
	if n < 0 {
		return 0, nil
	}
	if problem != "" {
		return 0, malformed(text[:n], problem)
	}
	return n + 1, parseField(text[:n], &l.vma)
}

// parseHeader begins a record.
func (l *list) parseHeader(text []byte) (length int, problem string) {
	if l.records {
		l.vma.Flags, l.vma.Mem = 0, Mem{}
	}
	n, problem := parseHeader(text, &l.vma)
	// A VMA may begin below the end of the one before: see the package comment.
	if problem == "" && l.vma.End <= l.last {
		problem = "the one before ends higher: a list never goes back"
	}
	if problem == "" {
		l.header = n
	}
	return n + 1, problem
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
	if l.names != nil && len(v.Name) > 0 {
		l.names.fix(v)
	}
	l.stopped = fn(v)
	return l.stopped
}

package tracefs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrMalformed: the text or the page is not what the kernel's documentation says.
var ErrMalformed = errors.New("malformed")

// ErrNoField: the event of this kernel has no such field.
var ErrNoField = errors.New("no such field")

// Field is where a value lies in an event.
type Field struct {
	Name, Type   string
	Offset, Size int
	Signed       bool
}

// Format is what an event consists of.
type Format struct {
	Name   string
	ID     uint16
	Fields []Field // those that all events have, first
}

// most is more than any event or page of the kernel has.
const (
	fieldsMost = 512
	sizeMost   = 1 << 20
)

// ParseFormat parses events/…/format.
func ParseFormat(r io.Reader) (*Format, error) {
	f := &Format{}
	hasID := false
	err := lines(r, func(line string) (err error) {
		if name, ok := strings.CutPrefix(line, "name: "); ok {
			f.Name = name
		}
		if id, ok := strings.CutPrefix(line, "ID: "); ok {
			var n uint64
			n, err = strconv.ParseUint(id, 10, 16)
			f.ID, hasID = uint16(n), true
		}
		return err
	}, &f.Fields)
	if err != nil {
		return nil, err
	}
	if f.Name == "" || !hasID {
		return nil, fmt.Errorf("%w: an event without a name or an ID", ErrMalformed)
	}
	return f, nil
}

// Field finds a field of a size that [Field.Uint] can read.
func (f *Format) Field(name string) (Field, error) {
	for _, field := range f.Fields {
		if field.Name != name {
			continue
		}
		switch field.Size {
		case 1, 2, 4, 8:
			return field, nil
		}
		return Field{}, fmt.Errorf("%w: %s.%s has %d bytes", ErrMalformed, f.Name, name, field.Size)
	}
	return Field{}, fmt.Errorf("%w: %s in %s", ErrNoField, name, f.Name)
}

// lines calls other for lines that are no fields.
func lines(r io.Reader, other func(string) error, fields *[]Field) error {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		text, ok := strings.CutPrefix(line, "field:")
		if !ok {
			if err := other(line); err != nil {
				return fmt.Errorf("%w: %q", ErrMalformed, line)
			}
			continue
		}
		field, err := parseField(text)
		if err != nil {
			return err
		}
		if *fields = append(*fields, field); len(*fields) > fieldsMost {
			return fmt.Errorf("%w: more than %d fields", ErrMalformed, fieldsMost)
		}
	}
	return scan.Err()
}

// parseField parses "unsigned long start;\toffset:24;\tsize:8;\tsigned:0;".
func parseField(text string) (Field, error) {
	parts := strings.Split(text, ";")
	if len(parts) < 4 {
		return Field{}, fmt.Errorf("%w: field %q", ErrMalformed, text)
	}
	f := Field{}
	space := strings.LastIndexByte(parts[0], ' ')
	if space < 0 {
		return Field{}, fmt.Errorf("%w: field %q", ErrMalformed, text)
	}
	f.Type, f.Name = strings.TrimSpace(parts[0][:space]), parts[0][space+1:]
	f.Name, _, _ = strings.Cut(f.Name, "[")
	seen := 0
	for _, part := range parts[1:] {
		key, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > sizeMost {
			return Field{}, fmt.Errorf("%w: field %q", ErrMalformed, text)
		}
		switch key {
		case "offset":
			f.Offset = n
			seen++
		case "size":
			f.Size = n
			seen++
		case "signed":
			f.Signed = n == 1
		}
	}
	if seen != 2 || f.Name == "" {
		return Field{}, fmt.Errorf("%w: field %q", ErrMalformed, text)
	}
	return f, nil
}

// Uint reads the field of an event; false where the event ends before it.
func (f Field) Uint(event []byte) (uint64, bool) {
	if f.Offset+f.Size > len(event) {
		return 0, false
	}
	var n uint64
	for i := f.Size - 1; i >= 0; i-- {
		n = n<<8 | uint64(event[f.Offset+i])
	}
	if f.Signed && f.Size < 8 && n>>(f.Size*8-1) == 1 {
		n |= ^uint64(0) << (f.Size * 8)
	}
	return n, true
}

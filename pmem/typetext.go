package pmem

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
)

// TypeInfo is what a pool knows of a type, so that its objects can be shown by programs that never
// saw it.
type TypeInfo struct {
	ID     uint32 // in the pool
	Name   string // with the path of its package
	Size   int64  // in bytes
	Fields []Field
}

// text is the descriptor of a type, as it is stored in a pool:
//
//	type "example.com/bank.Account" 64
//	field "" struct 0 64 0 ""
//	field "Balance" int64 0 8 0 ""
//	field "Next" ref 8 8 0 "example.com/bank.Account"
//
// A field has its path, kind, offset and size in bytes, number of elements, and what it refers to.
func (l *layout) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "type %q %d\n", l.name, l.size)
	for _, f := range l.fields {
		fmt.Fprintf(&b, "field %q %s %d %d %d %q\n", f.Path, f.Kind, f.Off, f.Size, f.Count, f.Type)
	}
	return b.Bytes()
}

func textHash(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return le.Uint64(sum[:])
}

// ParseType reads the descriptor of a type.
func ParseType(text []byte) (*TypeInfo, error) {
	var t *TypeInfo
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, len(text)+1)
	for n := 1; s.Scan(); n++ {
		words, err := fields(s.Text())
		if err == nil && t == nil {
			t, err = parseTypeLine(words)
		} else if err == nil {
			err = t.addField(words)
		}
		if err != nil {
			return nil, fmt.Errorf("descriptor of a type, line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("descriptor of a type: it is empty")
	}
	return t, nil
}

// fields splits a line; some words are quoted.
func fields(line string) (words []string, err error) {
	for line != "" {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), strings.TrimPrefix(line[len(quoted):], " ")
	}
	return words, nil
}

func parseTypeLine(words []string) (*TypeInfo, error) {
	if len(words) != 3 || words[0] != "type" {
		return nil, fmt.Errorf("%q is not \"type NAME SIZE\"", words)
	}
	size, err := strconv.ParseUint(words[2], 10, 32)
	return &TypeInfo{Name: words[1], Size: int64(size)}, err
}

func (t *TypeInfo) addField(words []string) error {
	if len(words) != 7 || words[0] != "field" {
		return fmt.Errorf("%q is not \"field PATH KIND OFFSET SIZE COUNT TYPE\"", words)
	}
	f := Field{Path: words[1], Kind: words[2], Type: words[6]}
	for i, to := range []*int64{&f.Off, &f.Size, &f.Count} {
		v, err := strconv.ParseUint(words[3+i], 10, 32)
		if err != nil {
			return err
		}
		*to = int64(v)
	}
	if f.Off+f.Size > t.Size {
		return fmt.Errorf("field %q ends at %d of %d bytes", f.Path, f.Off+f.Size, t.Size)
	}
	t.Fields = append(t.Fields, f)
	return nil
}

// difference says what is the first field that is not the same.
func (t *TypeInfo) difference(l *layout) string {
	for i, f := range l.fields {
		if i >= len(t.Fields) {
			return fmt.Sprintf("field %q is new", f.Path)
		}
		if old := t.Fields[i]; old != f {
			return fmt.Sprintf("field %q (%s at %d, %d bytes) was %q (%s at %d, %d bytes)", f.Path, f.Kind, f.Off, f.Size, old.Path, old.Kind, old.Off, old.Size)
		}
	}
	if len(t.Fields) > len(l.fields) {
		return fmt.Sprintf("field %q is gone", t.Fields[len(l.fields)].Path)
	}
	return fmt.Sprintf("it had %d bytes, and has %d", t.Size, l.size)
}

package damo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// jsonReader reads JSON as it comes, without a tree of what was read: files are long, and
// nearly all of them is numbers. It is as strict as damo's files need: it knows where a value ends, and
// takes what stands in strings as it is.
type jsonReader struct {
	in     *bufio.Reader
	offset int64
	text   []byte // of the last string or number
	depth  int
}

const (
	depthMost = 64      // how deep values may be in each other
	textMost  = 1 << 16 // bytes of a string or a number
)

func (r *jsonReader) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// next takes the next byte that is no white space.
func (r *jsonReader) next() (byte, error) {
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return 0, r.ended(err)
		}
		r.offset++
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, nil
		}
	}
}

// ended says what the end of the file means, where more must come.
func (r *jsonReader) ended(err error) error {
	if errors.Is(err, io.EOF) {
		return r.wrong("the file ends too early")
	}
	return wrapJSON(err)
}

func (r *jsonReader) back() {
	_ = r.in.UnreadByte() // what was read last was a byte
	r.offset--
}

func (r *jsonReader) expect(want byte) error {
	c, err := r.next()
	if err == nil && c != want {
		err = r.wrong("%q, and not %q", c, want)
	}
	return err
}

// list calls fn for each part of an object or an array, which has to read it.
func (r *jsonReader) list(open, end byte, fn func() error) error {
	if err := r.expect(open); err != nil {
		return err
	}
	if r.depth++; r.depth > depthMost {
		return r.wrong("values are more than %d deep", depthMost)
	}
	defer func() { r.depth-- }()
	c, err := r.next()
	if err != nil || c == end {
		return err
	}
	r.back()
	for {
		if err := fn(); err != nil {
			return err
		}
		switch c, err := r.next(); {
		case err != nil:
			return err
		case c == end:
			return nil
		case c != ',':
			return r.wrong("%q, and not a comma", c)
		}
	}
}

func (r *jsonReader) array(fn func() error) error { return r.list('[', ']', fn) }

// object calls fn with each key; it is valid until the next value is read.
func (r *jsonReader) object(fn func(key []byte) error) error {
	return r.list('{', '}', func() error {
		if err := r.expect('"'); err != nil {
			return err
		}
		if err := r.quoted(); err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		return fn(r.text)
	})
}

// quoted reads a string of which the first sign was read.
func (r *jsonReader) quoted() error {
	r.text = r.text[:0]
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return r.ended(err)
		}
		r.offset++
		switch {
		case c == '"':
			return nil
		case c == '\\':
			r.text = append(r.text, c)
			if c, err = r.in.ReadByte(); err != nil {
				return r.ended(err)
			}
			r.offset++
		case len(r.text) >= textMost:
			return r.wrong("a string of more than %d bytes", textMost)
		}
		r.text = append(r.text, c)
	}
}

// word reads null, true, false or a number.
func (r *jsonReader) word() error {
	r.text = r.text[:0]
	for len(r.text) < textMost {
		c, err := r.in.ReadByte()
		if err == io.EOF && len(r.text) > 0 {
			return nil
		}
		if err != nil {
			return r.ended(err)
		}
		r.offset++
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			r.text = append(r.text, c)
		case len(r.text) == 0:
			return r.wrong("%q, and not a value", c)
		default:
			r.back()
			return nil
		}
	}
	return r.wrong("a number of more than %d bytes", textMost)
}

// skip reads a value that nobody needs.
func (r *jsonReader) skip() error {
	c, err := r.next()
	if err != nil {
		return err
	}
	switch c {
	case '"':
		return r.quoted()
	case '{':
		r.back()
		return r.object(func([]byte) error { return r.skip() })
	case '[':
		r.back()
		return r.array(r.skip)
	}
	r.back()
	return r.word()
}

// isNull takes null, where that comes next.
func (r *jsonReader) isNull() (bool, error) {
	c, err := r.next()
	if err != nil {
		return false, err
	}
	if r.back(); c != 'n' {
		return false, nil
	}
	if err := r.word(); err != nil || string(r.text) != "null" {
		return false, errors.Join(err, r.wrong("%q", r.text))
	}
	return true, nil
}

// number is how damo writes numbers: as such, or as text with commas; null is none.
type number struct {
	value uint64
	known bool
}

func (r *jsonReader) number(n *number) error {
	c, err := r.next()
	if err != nil {
		return err
	}
	if c == '"' {
		err = r.quoted()
	} else {
		r.back()
		err = r.word()
	}
	if err != nil {
		return err
	}
	if string(r.text) == "null" {
		*n = number{}
		return nil
	}
	*n, err = parseNumber(r.text)
	return err
}

// parseNumber parses digits, with commas among them or not, or a number with a fraction, which
// is cut off.
func parseNumber(text []byte) (number, error) {
	n, digits := uint64(0), 0
	for _, c := range text {
		switch d := uint64(c - '0'); {
		case c == ',':
		case d > 9 || n > (1<<64-1-d)/10:
			f, err := strconv.ParseFloat(string(text), 64)
			if err != nil || !(f >= 0 && f < math.MaxUint64) {
				return number{}, fmt.Errorf("%w: the number %q", ErrMalformed, text)
			}
			return number{uint64(f), true}, nil
		default:
			n = n*10 + d
			digits++
		}
	}
	if digits == 0 {
		return number{}, fmt.Errorf("%w: the number %q", ErrMalformed, text)
	}
	return number{n, true}, nil
}

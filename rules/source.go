package rules

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// position is a place in a file, from 1; columns are in characters.
type position struct{ line, column int }

// source is a file, to find where in it a character of a value stands.
type source struct{ lines [][]rune }

func newSource(data []byte) *source {
	var s source
	for line := range strings.Lines(string(data)) {
		s.lines = append(s.lines, []rune(strings.TrimRight(line, "\r\n")))
	}
	return &s
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

// locate returns a function from an offset in the value of a scalar, in characters, to
// its place in the file. It reads the scalar again, in the style in which it is written;
// where the result is not the value that the YAML parser made (which reads more ways of
// writing than this does), every offset is at the beginning of the scalar.
func (s *source) locate(n *yaml.Node) func(offset int) position {
	value := []rune(n.Value)
	r := &rereader{source: s, pos: position{n.Line - 1, n.Column - 1}}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		r.block(n.Style&yaml.FoldedStyle != 0)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		r.quoted('"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		r.quoted('\'')
	default:
		r.plain(len(value))
	}
	if len(r.value) < len(value) || !slices.Equal(r.value[:len(value)], value) {
		return func(int) position { return at(n) }
	}
	return func(offset int) position {
		if offset < len(r.places) && offset >= 0 {
			p := r.places[offset]
			return position{p.line + 1, p.column + 1}
		}
		if len(r.places) == 0 {
			return at(n)
		}
		last := r.places[len(r.places)-1]
		return position{last.line + 1, last.column + 2}
	}
}

// rereader makes the value of a scalar again, with the place of each character. Its
// positions are from 0.
type rereader struct {
	source *source
	pos    position
	value  []rune
	places []position
}

func (r *rereader) emit(c rune, p position) {
	r.value = append(r.value, c)
	r.places = append(r.places, p)
}

func (r *rereader) line(i int) []rune {
	if i < 0 || i >= len(r.source.lines) {
		return nil
	}
	return r.source.lines[i]
}

// plain reads an unquoted scalar that makes n characters.
func (r *rereader) plain(n int) {
	line, column := r.pos.line, r.pos.column
	for len(r.value) < n && line < len(r.source.lines) {
		if column >= len(trimRight(r.line(line))) {
			line, column = r.fold(line)
			continue
		}
		r.emit(r.line(line)[column], position{line, column})
		column++
	}
}

// fold reads a line break inside a flow scalar: it is a space, or the empty lines that
// follow it. It returns where the text goes on.
func (r *rereader) fold(line int) (nextLine, column int) {
	for len(r.value) > 0 && isBlank(r.value[len(r.value)-1]) {
		r.value, r.places = r.value[:len(r.value)-1], r.places[:len(r.places)-1]
	}
	end := position{line, len(r.line(line))}
	empty := 0
	for line++; line < len(r.source.lines) && len(trimRight(r.line(line))) == 0; line++ {
		r.emit('\n', position{line, 0})
		empty++
	}
	if empty == 0 {
		r.emit(' ', end)
	}
	return line, indent(r.line(line))
}

// quoted reads a scalar in quotes, from its opening one.
func (r *rereader) quoted(quote rune) {
	line, column := r.pos.line, r.pos.column+1
	for line < len(r.source.lines) {
		text := r.line(line)
		if column >= len(text) {
			line, column = r.fold(line)
			continue
		}
		p := position{line, column}
		switch c := text[column]; {
		case c == quote && quote == '\'' && column+1 < len(text) && text[column+1] == quote:
			r.emit(c, p)
			column += 2
		case c == quote:
			return
		case c == '\\' && quote == '"':
			n := r.escape(text[column:], p)
			if n == 0 {
				return // an escaped line break: not read again
			}
			column += n
		default:
			r.emit(c, p)
			column++
		}
	}
}

// escapes are the single letters after a backslash; hexDigits those that numbers follow.
var (
	escapes = map[rune]rune{
		'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
		' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
	}
	hexDigits = map[rune]int{'x': 2, 'u': 4, 'U': 8}
)

// escape reads an escape of a double-quoted scalar and returns its length, or 0.
func (r *rereader) escape(text []rune, p position) int {
	if len(text) < 2 {
		return 0
	}
	if c, ok := escapes[text[1]]; ok {
		r.emit(c, p)
		return 2
	}
	digits := hexDigits[text[1]]
	if digits == 0 || len(text) < 2+digits {
		return 0
	}
	c, err := strconv.ParseUint(string(text[2:2+digits]), 16, 31)
	if err != nil {
		return 0
	}
	r.emit(rune(c), p)
	return 2 + digits
}

// block reads a scalar that begins with | or >. Of folded ones, it reads those whose
// lines are all indented alike.
func (r *rereader) block(folded bool) {
	line := r.pos.line + 1
	depth := 0
	for i := line; i < len(r.source.lines); i++ {
		if len(trimRight(r.line(i))) > 0 {
			depth = indent(r.line(i))
			break
		}
	}
	if explicit := r.explicitIndent(); explicit > 0 {
		depth = min(depth, r.blockIndent()+explicit)
	}
	for ; line < len(r.source.lines); line++ {
		text := r.line(line)
		blank := len(trimRight(text)) == 0
		if !blank && indent(text) < depth {
			break
		}
		for column := depth; column < len(text); column++ {
			r.emit(text[column], position{line, column})
		}
		r.blockBreak(line, depth, folded, blank)
	}
}

// blockBreak emits the line break after a line of a block scalar: in a folded one, a
// single one between two lines is a space, and the first of several is nothing.
func (r *rereader) blockBreak(line, depth int, folded, blank bool) {
	p := position{line, len(r.line(line))}
	next := r.line(line + 1)
	nextBlank := len(trimRight(next)) == 0
	switch {
	case !folded || blank:
		r.emit('\n', p)
	case nextBlank && r.more(line+1, depth):
		// The break of this line is the fold; the empty lines are the breaks.
	case nextBlank || indent(next) < depth:
		r.emit('\n', p)
	default:
		r.emit(' ', p)
	}
}

// more reports whether the block goes on after empty lines.
func (r *rereader) more(line, depth int) bool {
	for ; line < len(r.source.lines); line++ {
		if len(trimRight(r.line(line))) > 0 {
			return indent(r.line(line)) >= depth
		}
	}
	return false
}

// explicitIndent returns the digit of a block scalar's header, or 0.
func (r *rereader) explicitIndent() int {
	header := r.line(r.pos.line)
	for i := r.pos.column + 1; i < len(header) && i <= r.pos.column+2; i++ {
		if header[i] >= '1' && header[i] <= '9' {
			return int(header[i] - '0')
		}
	}
	return 0
}

// blockIndent returns the indentation of the line on which the scalar begins; an item
// of a list counts from after its dash.
func (r *rereader) blockIndent() int {
	text := r.line(r.pos.line)
	i := indent(text)
	for i+1 < len(text) && text[i] == '-' && text[i+1] == ' ' {
		i++
		i += indent(text[i:])
	}
	return i
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' }

func indent(line []rune) int {
	n := 0
	for n < len(line) && isBlank(line[n]) {
		n++
	}
	return n
}

func trimRight(line []rune) []rune {
	for len(line) > 0 && isBlank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

package rules

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// template is a message: text with CEL expressions in braces.
type template []piece

// piece is either text or an expression.
type piece struct {
	text string
	expr *expression
}

// hole is an expression of a template's source; offset is in characters.
type hole struct {
	offset int
	text   string
}

// maxMessage bounds what one message says, in bytes: a fact can be a path of 4 KiB.
const maxMessage = 8192

// parseTemplate compiles the expressions in a message. "{{" and "}}" stand for braces.
func parseTemplate(s Subject, source string) (template, []complaint) {
	var t template
	var complaints []complaint
	literals, holes, fault := splitTemplate(source)
	if len(holes) > maxHoles {
		fault = &complaint{holes[maxHoles].offset, fmt.Sprintf("more than %d expressions: say less", maxHoles)}
	}
	if fault != nil {
		return nil, []complaint{*fault}
	}
	for i, literal := range literals {
		if literal != "" {
			t = append(t, piece{text: literal})
		}
		if i == len(holes) {
			break
		}
		h := holes[i]
		e, faults := compile(s, h.text)
		if e != nil && !writable(e.typ) {
			faults = []complaint{{reason: "this is of type " + e.typ.String() + ": a message can say text, numbers, true or false, and lists of these"}}
		}
		for _, f := range faults {
			complaints = append(complaints, complaint{h.offset + f.offset, f.reason})
		}
		t = append(t, piece{expr: e})
	}
	return t, complaints
}

func writable(t *cel.Type) bool {
	switch t.Kind() {
	case types.StringKind, types.IntKind, types.BoolKind, types.DoubleKind:
		return true
	case types.ListKind:
		e := t.Parameters()[0].Kind()
		return e == types.StringKind || e == types.IntKind
	}
	return false
}

// splitTemplate separates the text from the expressions: literals has one element more
// than holes.
func splitTemplate(source string) (literals []string, holes []hole, fault *complaint) {
	var literal strings.Builder
	runes := []rune(source)
	for i := 0; i < len(runes); i++ {
		double := i+1 < len(runes) && runes[i+1] == runes[i]
		switch c := runes[i]; {
		case (c == '{' || c == '}') && double:
			literal.WriteRune(c)
			i++
		case c == '}':
			return nil, nil, &complaint{i, "a } that closes nothing: write }} for a brace"}
		case c == '{':
			end := closingBrace(runes, i+1)
			if end < 0 {
				return nil, nil, &complaint{i, "this { is never closed: close it, or write {{ for a brace"}
			}
			literals = append(literals, literal.String())
			literal.Reset()
			holes = append(holes, hole{i + 1, string(runes[i+1 : end])})
			i = end
		default:
			literal.WriteRune(c)
		}
	}
	return append(literals, literal.String()), holes, nil
}

// closingBrace finds the end of an expression, past braces and quoted text inside it.
func closingBrace(runes []rune, i int) int {
	depth := 0
	var quote rune
	for ; i < len(runes); i++ {
		switch c := runes[i]; {
		case quote != 0:
			switch c {
			case '\\':
				i++
			case quote:
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// fill makes the message. What is not known is said so.
func (t template) fill(input any) string {
	var b strings.Builder
	for _, p := range t {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.expr.eval(input)
		switch {
		case err != nil:
			b.WriteString("(not evaluated: " + err.Error() + ")")
		case types.IsUnknown(v):
			b.WriteString("(unknown)")
		default:
			b.WriteString(text(v))
		}
	}
	return printable(b.String())
}

// try reports the first error that filling the message meets.
func (t template) try(input any) error {
	for _, p := range t {
		if p.expr == nil {
			continue
		}
		if _, err := p.expr.eval(input); err != nil {
			return err
		}
	}
	return nil
}

// printable drops what could write to a terminal, and bounds the length.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if len(s) <= maxMessage {
		return s
	}
	end := maxMessage
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

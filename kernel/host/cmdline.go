package host

import "strings"

// Cmdline is the command line that the kernel was started with.
type Cmdline struct {
	// Params are the kernel's own, in their order; where one comes twice, most take
	// the last.
	Params []Param `json:"params"`
	// Init are the arguments after "--", which the kernel hands to the first process.
	Init []string `json:"init,omitempty"`
}

// Param is one parameter.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// HasValue tells "quiet" from "quiet=".
	HasValue bool `json:"has_value"`
}

// String returns the parameter as it stands on the command line, without quotes.
func (p Param) String() string {
	if p.HasValue {
		return p.Key + "=" + p.Value
	}
	return p.Key
}

// Lookup returns the last parameter with the given key. As for the kernel, "-" and "_"
// are the same in a key.
func (c Cmdline) Lookup(key string) (Param, bool) {
	for i := len(c.Params) - 1; i >= 0; i-- {
		if sameKey(c.Params[i].Key, key) {
			return c.Params[i], true
		}
	}
	return Param{}, false
}

func sameKey(a, b string) bool {
	return strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

// parseCmdline parses a command line as next_arg in lib/cmdline.c does: parameters end
// at white space outside of double quotes, and quotes around a value or around the
// whole parameter are taken off.
func parseCmdline(text string) (Cmdline, error) {
	if strings.ContainsRune(text, 0) {
		return Cmdline{}, malformed("%s has a zero byte", quote(text))
	}
	c := Cmdline{Params: []Param{}}
	for text != "" {
		if isSpace(text[0]) {
			text = text[1:]
			continue
		}
		end, equals := scanParam(text)
		p := makeParam(text[:end], equals)
		text = text[end:]
		if p.Key == "--" && !p.HasValue {
			c.Init = strings.Fields(text)
			break
		}
		c.Params = append(c.Params, p)
	}
	return c, nil
}

// scanParam returns where the parameter that s begins with ends, and where its first
// equals sign is: 0 where there is none.
func scanParam(s string) (end, equals int) {
	quoted := false
	for i := range len(s) {
		switch {
		case isSpace(s[i]) && !quoted:
			return i, equals
		case s[i] == '=' && equals == 0:
			equals = i
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return len(s), equals
}

func makeParam(s string, equals int) Param {
	if equals == 0 {
		return Param{Key: unwrap(s)}
	}
	key, value := s[:equals], s[equals+1:]
	if strings.HasPrefix(key, `"`) {
		return Param{Key: key[1:], Value: strings.TrimSuffix(value, `"`), HasValue: true}
	}
	return Param{Key: key, Value: unwrap(value), HasValue: true}
}

// unwrap takes off a quote at the beginning, and then one at the end.
func unwrap(s string) string {
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(rest, `"`)
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 } // isspace of lib/ctype.c

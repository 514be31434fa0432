package host

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Config is the kernel's configuration: symbols without the prefix CONFIG_, with their
// values. A symbol that "is not set" has the value "n"; one that is not listed does
// not exist in this kernel, or depends on something that is off. Strings are without
// their quotes.
type Config map[string]string

// On reports whether the symbol is built in or a module.
func (c Config) On(symbol string) bool { return c[symbol] == "y" || c[symbol] == "m" }

// Line returns the symbol as the configuration says it.
func (c Config) Line(symbol string) string {
	switch value, listed := c[symbol]; {
	case !listed:
		return "CONFIG_" + symbol + " is not listed"
	case value == "n":
		return "# CONFIG_" + symbol + " is not set"
	default:
		return "CONFIG_" + symbol + "=" + value
	}
}

// parseConfigGzip parses /proc/config.gz.
func parseConfigGzip(r io.Reader) (Config, string, error) { return parseConfigGzipUpTo(r, sizeMax) }

// parseConfigGzipUpTo takes one that is cut short, or that unpacks to more than most
// bytes, for an error.
func parseConfigGzipUpTo(r io.Reader, most int64) (Config, string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, "", malformed("gzip: %v", err)
	}
	c, raw, err := parseConfig(&bounded{z, most})
	if err != nil && ReasonOf(err) != Malformed {
		err = fmt.Errorf("%w: gzip: %w", ErrMalformed, err)
	}
	return c, raw, err
}

// parseConfig parses a .config file (Documentation/kbuild/kconfig.rst). The text that
// it returns is the title, which names the version.
func parseConfig(r io.Reader) (Config, string, error) {
	c := make(Config)
	var title string
	err := eachLine(r, func(line string) error {
		symbol, value, err := parseConfigLine(line)
		if err != nil {
			return err
		}
		if symbol == "" {
			if title == "" && strings.HasSuffix(line, "Kernel Configuration") {
				title = strings.TrimPrefix(line, "# ")
			}
			return nil
		}
		if before, listed := c[symbol]; listed && before != value {
			return malformed("CONFIG_%s is %s and %s", symbol, quote(before), quote(value))
		}
		c[symbol] = value
		return nil
	})
	if err != nil {
		return nil, title, err
	}
	if len(c) == 0 {
		return nil, title, malformed("no symbol in the configuration")
	}
	return c, title, nil
}

// parseConfigLine returns no symbol for a comment or an empty line.
func parseConfigLine(line string) (symbol, value string, err error) {
	if comment, ok := strings.CutPrefix(line, "#"); ok {
		name, ok := strings.CutSuffix(comment, " is not set")
		name, ok2 := strings.CutPrefix(name, " CONFIG_")
		if ok && ok2 && isSymbol(name) {
			return name, "n", nil
		}
		return "", "", nil
	}
	if strings.TrimSpace(line) == "" {
		return "", "", nil
	}
	name, value, ok := strings.Cut(line, "=")
	symbol, ok2 := strings.CutPrefix(name, "CONFIG_")
	if !ok || !ok2 || !isSymbol(symbol) || value == "" {
		return "", "", malformed("%s is not CONFIG_NAME=value", quote(line))
	}
	if value[0] == '"' {
		if value, err = unquoteConfig(value); err != nil {
			return "", "", malformed("CONFIG_%s: %v", symbol, err)
		}
	}
	return symbol, value, nil
}

func isSymbol(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// unquoteConfig takes a string out of its quotes; a backslash makes the next byte
// literal.
func unquoteConfig(quoted string) (string, error) {
	var b strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch quoted[i] {
		case '"':
			if i != len(quoted)-1 {
				return "", errors.New("text after the string")
			}
			return b.String(), nil
		case '\\':
			i++
			if i == len(quoted) {
				return "", errors.New("string without an end")
			}
		}
		b.WriteByte(quoted[i])
	}
	return "", errors.New("string without an end")
}

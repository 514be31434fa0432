package guarantee

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text makes bytes that the kernel gave us fit for a report: what is not valid
// UTF-8, and control characters, become \xNN; a backslash becomes \\. So two names
// that differ stay different, and none can write to a terminal.
func Text[T ~string | ~[]byte](raw T) string {
	s := string(raw)
	if plain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20, r == 0x7f, r >= 0x80 && r < 0xa0:
			for i := range n {
				b.WriteString(`\x`)
				if s[i] < 0x10 {
					b.WriteByte('0')
				}
				b.WriteString(strconv.FormatUint(uint64(s[i]), 16))
			}
		case r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

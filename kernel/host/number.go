package host

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// quote makes text fit for an error message, and short.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return `"` + guarantee.Text(text[:most]) + `…"`
	}
	return `"` + guarantee.Text(text) + `"`
}

// parseInt parses a file that holds one decimal number, and says what range the
// kernel's documentation gives it: a number outside has a meaning that is not known
// here.
func parseInt(text string, least, most int64) (int64, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strings.HasPrefix(text, "+") {
		return 0, malformed("%s is not a decimal number", quote(text))
	}
	if n < least || n > most {
		return 0, malformed("%d is not in the documented range from %d to %d", n, least, most)
	}
	return n, nil
}

// parseUint parses one decimal number without a sign.
func parseUint(text string) (uint64, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, malformed("%s is not a decimal number without a sign, below 2^64", quote(text))
	}
	return n, nil
}

// parseKiB parses a number of KiB and returns bytes.
func parseKiB(text string) (uint64, error) {
	n, err := parseUint(text)
	if err != nil {
		return 0, err
	}
	if n > math.MaxUint64>>10 {
		return 0, malformed("%d KiB are more than 2^64 bytes", n)
	}
	return n << 10, nil
}

// parseHex parses a hexadecimal number without prefix.
func parseHex(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return 0, malformed("%s is not a hexadecimal number below 2^64", quote(text))
	}
	return n, nil
}

// parseSwitch parses a file of a kernel parameter that is on or off: Y or N, 1 or 0.
func parseSwitch(text string) (bool, error) {
	switch strings.TrimSpace(text) {
	case "Y", "1":
		return true, nil
	case "N", "0":
		return false, nil
	}
	return false, malformed("%s is neither Y nor N, 1 nor 0", quote(text))
}

// parseKernelBool parses a boolean of the command line as the kernel does (kstrtobool
// in lib/kstrtox.c): the first letters decide.
func parseKernelBool(text string) (bool, error) {
	lower := strings.ToLower(text)
	switch {
	case lower == "":
	case strings.ContainsRune("yt1", rune(lower[0])), strings.HasPrefix(lower, "on"):
		return true, nil
	case strings.ContainsRune("nf0", rune(lower[0])), strings.HasPrefix(lower, "of"):
		return false, nil
	}
	return false, malformed("%s is not a boolean", quote(text))
}

// Choice is a file that lists what can be chosen, with what is chosen in brackets,
// such as "always [madvise] never".
type Choice struct {
	Selected string   `json:"selected"`
	Options  []string `json:"options"`
}

func parseChoice(text string) (Choice, error) {
	var c Choice
	for _, word := range strings.Fields(text) {
		option := strings.TrimSuffix(strings.TrimPrefix(word, "["), "]")
		bracketed := "["+option+"]" == word
		if option == "" || (!bracketed && option != word) || strings.ContainsAny(option, "[]") {
			return Choice{}, malformed("%s in %s", quote(word), quote(text))
		}
		if bracketed {
			if c.Selected != "" {
				return Choice{}, malformed("%s has two choices in brackets", quote(text))
			}
			c.Selected = option
		}
		c.Options = append(c.Options, option)
	}
	if c.Selected == "" {
		return Choice{}, malformed("%s has no choice in brackets", quote(text))
	}
	return c, nil
}

// unescapeOctal undoes the escapes of seq_path in fs/seq_file.c: \040 for a space.
// What is not an escape stays.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// eachLine calls f with every line, of any length and without its end, until f fails.
func eachLine(r io.Reader, f func(line string) error) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 64<<10), math.MaxInt)
	for n := 1; scan.Scan(); n++ {
		if err := f(scan.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return scan.Err()
}

package damon

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// parse parses what a file says into v: a number, Y or N, a word, or several of them. It is
// strict: what [format] would not write like that is [ErrMalformed].
func parse(text string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(text == "Y")
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return malformed(text)
		}
		v.SetUint(n)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return malformed(text)
		}
		v.SetInt(n)
	case reflect.String:
		// The kernel keeps a path with the newline that it was written with.
		text = strings.TrimRight(text, "\n")
		v.SetString(text)
	case reflect.Slice:
		return parseList(text, v)
	}
	if format(v) != text {
		return malformed(text)
	}
	return nil
}

// parseList parses words, one a line, or numbers with commas between them.
func parseList(text string, v reflect.Value) error {
	list := reflect.MakeSlice(v.Type(), 0, 0)
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == separator(v) }) {
		one := reflect.New(v.Type().Elem()).Elem()
		if err := parse(part, one); err != nil {
			return err
		}
		list = reflect.Append(list, one)
	}
	v.Set(list)
	if strings.TrimSuffix(text, "\n") != format(v) {
		return malformed(text)
	}
	return nil
}

func separator(v reflect.Value) rune {
	if v.Type().Elem().Kind() == reflect.String {
		return '\n'
	}
	return ','
}

// format writes a value as the kernel does, without the last newline.
func format(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return "Y"
		}
		return "N"
	case reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, format(v.Index(i)))
		}
		return strings.Join(parts, string(separator(v)))
	}
	return v.String()
}

func malformed(text string) error { return fmt.Errorf("%w: %q", ErrMalformed, text) }

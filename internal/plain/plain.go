// Package plain says whether values of a type are plain data: whether they can be in memory that
// the garbage collector does not know.
package plain

import (
	"fmt"
	"reflect"
	"strings"
)

// Check returns nil for a type without Go pointers, and else an error that names the first field
// with one. A uintptr is a number.
func Check(t reflect.Type) error { return check("", t) }

func check(path string, t reflect.Type) error {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if err := check(strings.TrimPrefix(path+"."+t.Field(i).Name, "."), t.Field(i).Type); err != nil {
				return err
			}
		}
		return nil
	case reflect.Array:
		if t.Len() == 0 {
			return nil
		}
		return check(path+"[]", t.Elem())
	case reflect.Pointer, reflect.UnsafePointer, reflect.Slice, reflect.String, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface:
		if path == "" {
			path = "the type"
		}
		return fmt.Errorf("%s is %s %v: it holds a Go pointer, and the garbage collector would not see it", path, article(t.Kind()), t)
	}
	return nil
}

func article(k reflect.Kind) string {
	if strings.ContainsRune("aeiou", rune(k.String()[0])) {
		return "an"
	}
	return "a"
}

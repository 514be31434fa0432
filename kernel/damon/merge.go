package damon

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Merge lays a configuration over kdamonds: what it leaves out stays as it is in base, and
// where base has no such kdamond, context, scheme or filter, is as [NewKdamond],
// [NewContext] and [NewScheme] make it; a filter matches. A list has as many members then as
// the configuration gives it. base is not changed.
//
// Numbers may be words with a unit of their field: "5 ms" or "1 m 30 s" of a time, "4 KiB" of
// a size, "12.5 %" of what is per mille or in basis points; "min" and "max" are the ends of a range.
//
// The configuration is what encoding/json or a YAML decoder make of a document: an object
// with "kdamonds", what [Status.WriteJSON] writes, or a list of kdamonds. Fields are named
// as the kernel's files are. What damo writes ("ops", "intervals", with units) is recognised
// and converted; it leaves nothing as it is in base. Errors name the place below the directory of the kdamonds, and wrap
// [ErrMalformed].
func Merge(base []Kdamond, configuration any) ([]Kdamond, error) {
	list, err := kdamondsOf(configuration)
	if err != nil {
		return nil, err
	}
	if fromDamo(list) {
		base = nil
		if list, err = convertDamo(list); err != nil {
			return nil, err
		}
	}
	merged := deepCopy(base)
	if err := overlay(reflect.ValueOf(&merged).Elem(), list, ""); err != nil {
		return nil, err
	}
	return merged, nil
}

// kdamondsOf finds the list in a document.
func kdamondsOf(x any) ([]any, error) {
	for _, key := range []string{"interface", "kdamonds"} {
		if object, ok := x.(map[string]any); ok && object[key] != nil {
			x = object[key]
		}
	}
	list, ok := x.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: no kdamonds: want a list of them, or an object with \"kdamonds\"", ErrMalformed)
	}
	return list, nil
}

// overlay sets v to what x says.
func overlay(v reflect.Value, x any, at string) error {
	switch v.Kind() {
	case reflect.Pointer:
		return overlayPointer(v, x, at)
	case reflect.Struct:
		return overlayStruct(v, x, at)
	case reflect.Slice:
		return overlayList(v, x, at)
	case reflect.Bool:
		if b, ok := x.(bool); ok {
			v.SetBool(b)
			return nil
		}
		return misplaced(at, x, "true or false")
	case reflect.String:
		if s, ok := x.(string); ok {
			v.SetString(s)
			return nil
		}
		return misplaced(at, x, "a word")
	}
	return overlayNumber(v, x, at)
}

func overlayPointer(v reflect.Value, x any, at string) error {
	if x == nil {
		return nil
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return overlay(v.Elem(), x, at)
}

func overlayStruct(v reflect.Value, x any, at string) error {
	object, ok := x.(map[string]any)
	if !ok {
		return misplaced(at, x, "an object")
	}
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = v.Field(i)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) { // so that the error is the same each time
		field, ok := fields[name]
		if !ok {
			return misplaced(join(at, name), nil, "one of "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if err := overlay(field, object[name], join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

func overlayList(v reflect.Value, x any, at string) error {
	if x == nil {
		return nil
	}
	list, ok := x.([]any)
	if !ok {
		return misplaced(at, x, "a list")
	}
	to := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, one := range list {
		if i < v.Len() {
			to.Index(i).Set(v.Index(i))
		} else {
			to.Index(i).Set(blank(v.Type().Elem()))
		}
		if err := overlay(to.Index(i), one, join(at, strconv.Itoa(i))); err != nil {
			return err
		}
	}
	v.Set(to)
	return nil
}

// blank is a new member of a list.
func blank(of reflect.Type) reflect.Value {
	switch of {
	case reflect.TypeFor[Kdamond]():
		return reflect.ValueOf(Kdamond{State: On, PID: -1, Contexts: []Context{}})
	case reflect.TypeFor[Context]():
		return reflect.ValueOf(NewContext(""))
	case reflect.TypeFor[Target]():
		return reflect.ValueOf(Target{Regions: []AddrRegion{}})
	case reflect.TypeFor[Scheme]():
		return reflect.ValueOf(NewScheme(""))
	case reflect.TypeFor[Filter]():
		return reflect.ValueOf(Filter{Matching: true})
	}
	return reflect.Zero(of)
}

func overlayNumber(v reflect.Value, x any, at string) error {
	text := ""
	switch n := x.(type) {
	case json.Number:
		text = n.String()
	case int, int64, uint64, uint:
		text = fmt.Sprint(n)
	case float64: // what a decoder makes of numbers that are not told apart
		if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			return misplaced(at, x, "a whole number")
		}
		text = strconv.FormatFloat(n, 'f', 0, 64)
	case string:
		if v.CanUint() {
			return overlayWord(v, n, at)
		}
	}
	if v.CanUint() {
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return misplaced(at, x, "a number from 0")
		}
		v.SetUint(n)
		return nil
	}
	n, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		return misplaced(at, x, "a whole number")
	}
	v.SetInt(n)
	return nil
}

// overlayWord sets v to a number with a unit.
func overlayWord(v reflect.Value, text, at string) error {
	u := unitOf(at)
	n, err := u.parse(text)
	if err != nil {
		return misplaced(at, text, "a number of "+u.name)
	}
	v.SetUint(n)
	return nil
}

// unitOf is what the numbers of a field are of.
func unitOf(at string) unit {
	name, dir := path.Base(at), path.Base(path.Dir(at))
	switch {
	case strings.HasSuffix(name, "_us"):
		return microseconds
	case name == "ms", strings.HasSuffix(name, "_ms"):
		return milliseconds
	case strings.HasSuffix(name, "_permil"), dir == "watermarks":
		return perMille
	case strings.HasSuffix(name, "_bp"):
		return basisPoints
	case dir == "nr_accesses", dir == "age":
		return counts
	case name == "bytes", name == "addr_unit", dir == "sz", slices.Contains([]string{"start", "end", "addr_start", "addr_end"}, name),
		strings.Contains(at, "filters/"):
		return byteSizes
	}
	return plain
}

func misplaced(at string, x any, want string) error {
	if x == nil {
		return fmt.Errorf("%w: %s: want %s", ErrMalformed, at, want)
	}
	return fmt.Errorf("%w: %s: %.60q: want %s", ErrMalformed, at, fmt.Sprint(x), want)
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "/" + name
}

package crash

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// Each field of the JSON forms is documented.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/crash/report.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if name == "" || !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`."+name+"`") && !strings.Contains(string(text), name+"[]`") {
				t.Errorf("%v.%s: docs/crash/report.md does not say what %q is", typ, f.Name, name)
			}
			check(f.Type)
		}
	}
	check(reflect.TypeFor[Report]())
	check(reflect.TypeFor[Replay]())
	if len(seen) < 5 {
		t.Errorf("looked at %d types alone", len(seen))
	}
}

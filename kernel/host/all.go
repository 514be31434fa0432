package host

import (
	"encoding/json"
	"iter"
	"reflect"

	"github.com/safevma/safevma/guarantee"
)

// Fact is a [Value] of any type with its name, for those who list all facts.
type Fact struct {
	// Name is stable, such as "commit.limit".
	Name string
	// Value is the value; nil where it is unknown.
	Value any
	// Err says why it is unknown.
	Err    error
	Method guarantee.Method
	Source string
	Raw    string
}

// All lists every fact of this reading in a fixed order, the unknown ones too. The
// hardening table is not among them.
func (f *Facts) All() iter.Seq[Fact] {
	return func(yield func(Fact) bool) { eachFact(reflect.ValueOf(*f), "", yield) }
}

// eachFact walks the fields that have a name.
func eachFact(v reflect.Value, prefix string, yield func(Fact) bool) bool {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("fact")
		if name == "" {
			continue
		}
		name = prefix + name
		more := true
		if value, ok := v.Field(i).Interface().(interface{ fact(string) Fact }); ok {
			more = yield(value.fact(name))
		} else {
			more = eachFact(v.Field(i), name+".", yield)
		}
		if !more {
			return false
		}
	}
	return true
}

// MarshalJSON writes the fact without its name. Raw text is escaped as
// [guarantee.Text] does.
func (f Fact) MarshalJSON() ([]byte, error) {
	out := struct {
		Value   any              `json:"value"` // null where it is unknown
		Unknown Reason           `json:"unknown,omitempty"`
		Why     string           `json:"why,omitempty"`
		Method  guarantee.Method `json:"method,omitempty"`
		Source  string           `json:"source,omitempty"`
		Raw     string           `json:"raw,omitempty"`
	}{f.Value, "", "", f.Method, f.Source, guarantee.Text(f.Raw)}
	if f.Err != nil {
		out.Value, out.Unknown, out.Why = nil, ReasonOf(f.Err), guarantee.Text(f.Err.Error())
	}
	return json.Marshal(out)
}

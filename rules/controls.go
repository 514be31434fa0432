package rules

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/safevma/safevma/guarantee"
)

// outcome is what a control expects of its rule.
type outcome string

const (
	fires   outcome = "fires"
	silent  outcome = "silent"
	allowed outcome = "allowed"
)

// test is one control: facts on which the outcome is known.
type test struct {
	node  *yaml.Node
	want  outcome
	facts Facts
}

// notGiven is the reason of every fact that a control leaves out. So a control must say
// all that its rule looks at.
const notGiven = "the control does not give it"

func (d *decoder) readControls(o *object, r *Rule) []test {
	n := o.required("controls")
	if n == nil {
		return nil
	}
	c := d.object(n, "controls", string(fires), string(silent), string(allowed))
	var tests []test
	for _, want := range []outcome{fires, silent, allowed} {
		items := d.few(c.fields[string(want)], string(want))
		needed := want != allowed || len(r.Allow) > 0
		switch {
		case len(items) == 0 && needed && n.Kind == yaml.MappingNode:
			d.fail(at(n), "there is no control under %q: add facts on which the rule %s", want, outcomeWords[want])
		case len(items) > 0 && want == allowed && len(r.Allow) == 0:
			d.fail(at(items[0]), "the rule has no exception (allow) that this control could show: remove it")
		}
		for _, item := range items {
			tests = append(tests, test{item, want, d.facts(item, r.Subject)})
		}
	}
	return tests
}

var outcomeWords = map[outcome]string{
	fires:   "must fire",
	silent:  "must be silent",
	allowed: "must be excused by an exception",
}

// facts reads the facts of a control.
func (d *decoder) facts(n *yaml.Node, s Subject) Facts {
	var f Facts
	if s == "" {
		return f
	}
	var keys []string
	for _, v := range s.variables() {
		keys = append(keys, string(v))
	}
	o := d.object(n, "a control of a rule about "+string(s), keys...)
	for _, v := range s.variables() {
		if given := o.fields[string(v)]; given != nil {
			d.setFacts(given, &f, v)
		}
	}
	if o.fields[string(s)] == nil && n.Kind == yaml.MappingNode {
		d.fail(at(n), "the control has no %q: give the facts of the rule's subject", s)
	}
	return f
}

// setFacts reads the facts of one subject.
func (d *decoder) setFacts(n *yaml.Node, f *Facts, s Subject) {
	value := reflect.New(factStructs[s])
	unknown := make(map[string]string)
	var names []string
	for _, fact := range reference[s] {
		unknown[fact.Name] = notGiven
		names = append(names, fact.Name)
	}
	o := d.object(n, string(s), names...)
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		fact, _ := factOf(s, name)
		d.setFact(o.fields[name], fact, value.Elem().Field(fact.index))
		delete(unknown, name)
	}
	value.Elem().FieldByName("Unknown").Set(reflect.ValueOf(unknown))
	facts := reflect.ValueOf(f).Elem()
	for i := range facts.NumField() {
		if facts.Field(i).Type() == value.Type() {
			facts.Field(i).Set(value)
		}
	}
	if s == SubjectVMA {
		d.derive(&o, f.VMA)
	}
}

// derive fills in the facts that follow from the four letters of access.
func (d *decoder) derive(o *object, v *VMA) {
	n := o.fields["perms"]
	if n == nil {
		return
	}
	if len(v.Perms) != 4 || strings.Trim(v.Perms[:3], "rwx-") != "" || v.Perms[3] != 's' && v.Perms[3] != 'p' {
		d.fail(at(n), "perms %q: write the four letters of /proc/PID/maps, such as r-xp", v.Perms)
		return
	}
	for name, letter := range map[string]string{"readable": "r", "writable": "w", "executable": "x", "shared": "s"} {
		if _, open := v.Unknown[name]; !open {
			continue
		}
		fact, _ := factOf(SubjectVMA, name)
		reflect.ValueOf(v).Elem().Field(fact.index).SetBool(strings.Contains(v.Perms, letter))
		delete(v.Unknown, name)
	}
}

// setFact reads the value of one fact.
func (d *decoder) setFact(n *yaml.Node, fact Fact, field reflect.Value) {
	name := string(fact.Subject) + "." + fact.Name
	switch field.Kind() {
	case reflect.Bool:
		o := object{d: d, fields: map[string]*yaml.Node{name: n}}
		field.SetBool(o.boolean(name))
	case reflect.Int64:
		field.SetInt(d.integer(n, name))
	case reflect.String:
		field.SetString(d.rawScalar(n, name))
	case reflect.Slice:
		for _, item := range d.items(n, name) {
			element := reflect.New(field.Type().Elem()).Elem()
			if element.Kind() == reflect.Int {
				element.SetInt(d.integer(item, name))
			} else {
				element.SetString(d.rawScalar(item, name))
			}
			field.Set(reflect.Append(field, element))
		}
	case reflect.Map:
		entries := make(map[string]string)
		for key, value := range d.pairs(n, name) {
			entries[key.Value] = d.rawScalar(value, name)
		}
		field.Set(reflect.ValueOf(entries))
	}
}

// rawScalar returns text as it is: blanks and emptiness can matter in a fact.
func (d *decoder) rawScalar(n *yaml.Node, name string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.fail(at(n), "%s is %s: write text", name, kindOf(n))
		return ""
	}
	return n.Value
}

func (d *decoder) integer(n *yaml.Node, name string) int64 {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			return i
		}
	}
	d.fail(at(n), "%s is %s: write a whole number", name, kindOf(n))
	return 0
}

// control runs the controls of a rule that has no other fault.
func (d *decoder) control(n *yaml.Node, r *Rule, tests []test) {
	reached, exercised := r.Filter.Empty() || r.When == "true", make(map[string]bool)
	for i := range tests {
		t := &tests[i]
		result := r.Eval(&t.facts)
		if complaint := t.judge(r, result); complaint != "" {
			d.fail(at(t.node), "this control %s, but %s", outcomeWords[t.want], complaint)
		}
		exercised[result.Allowed] = true
		if t.want == silent && !reached {
			reached, _ = r.tryFilter(t.facts.VMA)
		}
	}
	if !reached {
		d.fail(at(n), "no silent control passes the filter, so none shows that `when` can be false: add one")
	}
	for _, a := range r.Allow {
		if !exercised[a.Reason] {
			d.fail(at(n), "no control shows the exception %q: add one under %q", a.Reason, allowed)
		}
	}
}

// judge says how the result differs from what the control expects, or nothing.
func (t *test) judge(r *Rule, result Result) string {
	switch {
	case result.Err != nil:
		return result.Message
	case len(result.Missing) > 0:
		return "it can't be decided without " + strings.Join(result.Missing, "; ")
	case t.want == fires && result.Status == guarantee.Broken:
		return t.judgeMessage(r)
	case t.want == silent && result.Status == guarantee.Holds,
		t.want == allowed && result.Status == guarantee.NotApplicable && result.Allowed != "":
		return ""
	case result.Status == guarantee.Broken:
		return "the rule fires"
	case result.Status == guarantee.Holds:
		return "the rule is silent"
	}
	return fmt.Sprintf("the rule is %s (%s)", result.Status, result.Message)
}

// judgeMessage tries the message on the facts of a control.
func (t *test) judgeMessage(r *Rule) string {
	input, err := r.input(&t.facts)
	if err == nil {
		err = r.message.try(input)
	}
	if err != nil {
		return "its message can't be made: " + err.Error()
	}
	return ""
}

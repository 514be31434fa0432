package damon

import (
	"encoding/json"
	"path"
	"strconv"
)

// fromDamo reports whether kdamonds are in the form of damo, the tool of DAMON's maintainers:
// its contexts have "ops" where the kernel's have "operations".
func fromDamo(list []any) bool {
	for _, k := range list {
		object, _ := k.(map[string]any)
		contexts, _ := object["contexts"].([]any)
		for _, c := range contexts {
			if context, ok := c.(map[string]any); ok && context["ops"] != nil {
				return true
			}
		}
	}
	return false
}

// convertDamo makes of kdamonds in damo's form (2.x and 3.x) those in the form of [Merge].
// What this package can't set is an error where it is not empty.
func convertDamo(list []any) ([]any, error) {
	c := &converter{}
	to := []any{}
	for n, k := range list {
		to = append(to, c.kdamond(c.object(k, strconv.Itoa(n))))
	}
	return to, c.err
}

// converter keeps the first error.
type converter struct{ err error }

// damoObject is an object with its place.
type damoObject struct {
	at     string
	fields map[string]any
}

func (c *converter) fail(at string, x any, want string) {
	if c.err == nil {
		c.err = misplaced(at, x, want)
	}
}

func (c *converter) object(x any, at string) damoObject {
	fields, ok := x.(map[string]any)
	if !ok {
		c.fail(at, x, "an object")
	}
	return damoObject{at, fields}
}

// inner is an object in another; empty where it is left out.
func (c *converter) inner(o damoObject, name string) damoObject {
	if o.fields[name] == nil {
		return damoObject{path.Join(o.at, name), nil}
	}
	return c.object(o.fields[name], path.Join(o.at, name))
}

// list converts each member of a list.
func (c *converter) list(o damoObject, name string, one func(damoObject) map[string]any) []any {
	members, ok := o.fields[name].([]any)
	if !ok && o.fields[name] != nil {
		c.fail(path.Join(o.at, name), o.fields[name], "a list")
	}
	to := []any{}
	for i, m := range members {
		to = append(to, one(c.object(m, path.Join(o.at, name, strconv.Itoa(i)))))
	}
	return to
}

// nothing refuses what can't be set here.
func (c *converter) nothing(o damoObject, names ...string) {
	for _, name := range names {
		if list, ok := o.fields[name].([]any); o.fields[name] != nil && !(ok && len(list) == 0) {
			c.fail(path.Join(o.at, name), o.fields[name], "nothing: safevma can't set it")
		}
	}
}

// set copies a number with a unit, where it is there.
func (c *converter) set(to map[string]any, name string, o damoObject, from string, u unit) {
	if n, ok := c.number(o, from, u); ok {
		to[name] = json.Number(strconv.FormatUint(n, 10))
	}
}

func (c *converter) number(o damoObject, name string, u unit) (uint64, bool) {
	x, ok := o.fields[name]
	if !ok || x == nil {
		return 0, false
	}
	n, err := u.parse(x)
	if err != nil {
		c.fail(path.Join(o.at, name), x, "a number of "+u.name)
	}
	return n, true
}

func (c *converter) word(to map[string]any, name string, o damoObject, from string) {
	if x := o.fields[from]; x != nil {
		to[name] = x
	}
}

func (c *converter) kdamond(o damoObject) map[string]any {
	to := map[string]any{"contexts": c.list(o, "contexts", c.context)}
	if o.fields["state"] == string(Off) {
		to["state"] = string(Off)
	}
	c.set(to, "refresh_ms", o, "refresh_ms", milliseconds)
	return to
}

func (c *converter) context(o damoObject) map[string]any {
	in := c.inner(o, "intervals")
	intervals := map[string]any{}
	c.set(intervals, "sample_us", in, "sample_us", microseconds)
	c.set(intervals, "aggr_us", in, "aggr_us", microseconds)
	c.set(intervals, "update_us", in, "ops_update_us", microseconds)
	intervals["intervals_goal"] = c.goal(c.inner(in, "intervals_goal"))
	regions := map[string]any{}
	c.set(regions, "min", c.inner(o, "nr_regions"), "min", plain)
	c.set(regions, "max", c.inner(o, "nr_regions"), "max", plain)
	to := map[string]any{"monitoring_attrs": map[string]any{"intervals": intervals, "nr_regions": regions},
		"targets": c.list(o, "targets", c.target)}
	c.word(to, "operations", o, "ops")
	c.set(to, "addr_unit", o, "addr_unit", byteSizes)
	c.word(to, "pause", o, "pause")
	c.nothing(o, "probes")
	times := c.intervals(in)
	to["schemes"] = c.list(o, "schemes", func(s damoObject) map[string]any { return c.scheme(s, times) })
	return to
}

// times are what rates and ages are relative to.
type times struct{ sample, aggr uint64 }

func (c *converter) intervals(in damoObject) times {
	t := times{5000, 100_000}
	if n, ok := c.number(in, "sample_us", microseconds); ok {
		t.sample = max(n, 1)
	}
	if n, ok := c.number(in, "aggr_us", microseconds); ok {
		t.aggr = max(n, 1)
	}
	return t
}

func (c *converter) goal(o damoObject) map[string]any {
	to := map[string]any{}
	c.set(to, "access_bp", o, "access_bp", basisPoints)
	c.set(to, "aggrs", o, "aggrs", plain)
	c.set(to, "min_sample_us", o, "min_sample_us", microseconds)
	c.set(to, "max_sample_us", o, "max_sample_us", microseconds)
	return to
}

func (c *converter) target(o damoObject) map[string]any {
	to := map[string]any{"regions": c.list(o, "regions", c.region)}
	c.set(to, "pid_target", o, "pid", plain)
	c.word(to, "obsolete_target", o, "obsolete")
	return to
}

func (c *converter) region(o damoObject) map[string]any {
	to := map[string]any{}
	c.set(to, "start", o, "start", byteSizes)
	c.set(to, "end", o, "end", byteSizes)
	return to
}

package damon

import (
	"encoding/json"
	"math"
	"path"
	"strconv"
	"strings"
)

func (c *converter) scheme(o damoObject, t times) map[string]any {
	to := map[string]any{}
	c.word(to, "action", o, "action")
	c.set(to, "target_nid", o, "target_nid", plain)
	c.set(to, "apply_interval_us", o, "apply_interval_us", microseconds)
	to["access_pattern"] = c.pattern(c.inner(o, "access_pattern"), t)
	to["quotas"] = c.quotas(c.inner(o, "quotas"))
	to["watermarks"] = c.watermarks(c.inner(o, "watermarks"))
	to["dests"] = c.list(o, "dests", c.dest)
	c.filters(to, o)
	return to
}

func (c *converter) pattern(o damoObject, t times) map[string]any {
	size := map[string]any{}
	c.set(size, "min", c.inner(o, "sz_bytes"), "min", byteSizes)
	c.set(size, "max", c.inner(o, "sz_bytes"), "max", byteSizes)
	return map[string]any{"sz": size,
		"nr_accesses": c.ends(c.inner(o, "nr_accesses"), percent, "samples", func(n float64) float64 {
			return n * float64(t.aggr) / float64(t.sample) / 100
		}),
		"age": c.ends(c.inner(o, "age"), microseconds, "aggr_intervals", func(n float64) float64 { return n / float64(t.aggr) })}
}

// ends converts the two ends of a range: of a unit that is converted, or, with a word behind
// them, of what the kernel counts.
func (c *converter) ends(o damoObject, u unit, counted string, convert func(float64) float64) map[string]any {
	to := map[string]any{}
	for _, name := range []string{"min", "max"} {
		x, ok := o.fields[name]
		if !ok {
			continue
		}
		var n uint64
		var err error
		if text, is := x.(string); is && strings.HasSuffix(text, counted) {
			n, err = counts.parse(strings.TrimSuffix(text, counted))
		} else {
			var amount float64
			amount, err = u.amount(x)
			n = uint64(min(convert(amount)+tiny, math.MaxUint32))
		}
		if err != nil {
			c.fail(path.Join(o.at, name), x, "a number of "+u.name+", or with "+counted)
		}
		to[name] = json.Number(strconv.FormatUint(min(n, math.MaxUint32), 10))
	}
	return to
}

func (c *converter) quotas(o damoObject) map[string]any {
	to := map[string]any{}
	c.set(to, "ms", o, "time_ms", milliseconds)
	c.set(to, "bytes", o, "sz_bytes", byteSizes)
	c.set(to, "reset_interval_ms", o, "reset_interval_ms", milliseconds)
	c.set(to, "fail_charge_num", o, "fail_charge_num", plain)
	c.set(to, "fail_charge_denom", o, "fail_charge_denom", plain)
	c.word(to, "goal_tuner", o, "goal_tuner")
	weights, in := map[string]any{}, c.inner(o, "weights")
	for _, name := range []string{"sz_permil", "nr_accesses_permil", "age_permil"} {
		c.set(weights, name, in, name, perMille)
	}
	to["weights"] = weights
	to["goals"] = c.list(o, "goals", c.quotaGoal)
	return to
}

func (c *converter) quotaGoal(o damoObject) map[string]any {
	to := map[string]any{}
	c.word(to, "target_metric", o, "metric")
	u := plain
	if metric, _ := o.fields["metric"].(string); strings.HasSuffix(metric, "_bp") {
		u = basisPoints
	} else if metric == string(SomeMemPSI) {
		u = microseconds
	}
	c.set(to, "target_value", o, "target_value", u)
	c.set(to, "current_value", o, "current_value", u)
	c.set(to, "nid", o, "nid", plain)
	c.word(to, "path", o, "memcg_path")
	return to
}

func (c *converter) watermarks(o damoObject) map[string]any {
	to := map[string]any{}
	c.word(to, "metric", o, "metric")
	c.set(to, "interval_us", o, "interval_us", microseconds)
	c.set(to, "high", o, "high_permil", perMille)
	c.set(to, "mid", o, "mid_permil", perMille)
	c.set(to, "low", o, "low_permil", perMille)
	return to
}

func (c *converter) dest(o damoObject) map[string]any {
	to := map[string]any{}
	c.set(to, "id", o, "id", plain)
	c.set(to, "weight", o, "weight", plain)
	return to
}

// filters puts filters where the kernel has them: damo keeps those of both layers in one list.
func (c *converter) filters(to map[string]any, o damoObject) {
	core, ops := []any{}, []any{}
	for _, f := range c.list(o, "filters", c.filter) {
		word, _ := f.(map[string]any)["type"].(string)
		if FilterType(word).Core() {
			core = append(core, f)
		} else {
			ops = append(ops, f)
		}
	}
	to["core_filters"], to["ops_filters"], to["filters"] = core, ops, []any{}
}

func (c *converter) filter(o damoObject) map[string]any {
	to := map[string]any{}
	c.word(to, "type", o, "filter_type")
	c.word(to, "matching", o, "matching")
	to["allow"] = false
	c.word(to, "allow", o, "filter_pass") // its older name
	c.word(to, "allow", o, "allow")
	c.word(to, "memcg_path", o, "memcg_path")
	if addresses := c.inner(o, "address_range"); addresses.fields != nil {
		c.set(to, "addr_start", addresses, "start", byteSizes)
		c.set(to, "addr_end", addresses, "end", byteSizes)
	}
	c.set(to, "damon_target_idx", o, "damon_target_idx", plain)
	if sizes, ok := o.fields["hugepage_size"].([]any); ok && len(sizes) == 2 {
		ends := damoObject{path.Join(o.at, "hugepage_size"), map[string]any{"min": sizes[0], "max": sizes[1]}}
		c.set(to, "min", ends, "min", byteSizes)
		c.set(to, "max", ends, "max", byteSizes)
	} else if o.fields["hugepage_size"] != nil {
		c.fail(path.Join(o.at, "hugepage_size"), o.fields["hugepage_size"], "a list of two sizes")
	}
	return to
}

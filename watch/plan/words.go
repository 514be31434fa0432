package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/safevma/safevma/kernel/damon"
)

// Setting is one value that a word of the command line sets.
type Setting struct {
	Name string // of the flag
	Unit string // what its value is, such as "duration"
	Help string
	// place is the file: below the kdamond, the context or the scheme. A range has two, min
	// and max.
	place string
	part  part
	ends  bool
}

type part int

const (
	ofKdamond part = iota
	ofContext
	ofScheme
)

// Settings are the values that words can set: of the first kdamond, its context and its
// first scheme. Others take a file.
var Settings = []Setting{
	{"refresh", "duration", "let the kernel refresh what it shows this often (Linux 6.17)", "refresh_ms", ofKdamond, false},
	{"ops", "word", "how to watch: vaddr, fvaddr or paddr", "operations", ofContext, false},
	{"sample", "duration", "look at a page of each region this often", "monitoring_attrs/intervals/sample_us", ofContext, false},
	{"aggr", "duration", "count accesses for this long", "monitoring_attrs/intervals/aggr_us", ofContext, false},
	{"update", "duration", "look for new mappings and memory this often", "monitoring_attrs/intervals/update_us", ofContext, false},
	{"regions", "min-max", "how many regions memory is divided into", "monitoring_attrs/nr_regions", ofContext, true},
	{"action", "word", "what to do with memory of the pattern, such as stat or pageout", "action", ofScheme, false},
	{"node", "number", "the node that memory is migrated to", "target_nid", ofScheme, false},
	{"apply", "duration", "act this often; 0 is each aggregation", "apply_interval_us", ofScheme, false},
	{"size", "min-max", "act on regions of this size", "access_pattern/sz", ofScheme, true},
	{"accesses", "min-max", "act on regions seen used in so many samples of an aggregation", "access_pattern/nr_accesses", ofScheme, true},
	{"age", "min-max", "act on regions that have been like that for so many aggregations", "access_pattern/age", ofScheme, true},
	{"quota-time", "duration", "act for no longer than that in each reset interval", "quotas/ms", ofScheme, false},
	{"quota-bytes", "size", "act on no more than that in each reset interval", "quotas/bytes", ofScheme, false},
	{"quota-reset", "duration", "the reset interval of quotas", "quotas/reset_interval_ms", ofScheme, false},
}

// Words are what a command line asks for. What is empty stays as it is.
type Words struct {
	// Physical: physical memory; otherwise the processes in PIDs, where there are any.
	Physical bool
	PIDs     []int
	Regions  []string // "start-end"; of physical memory all that there is, where none is named
	Filters  []string // such as "reject anon", "allow none memcg /a", "reject addr 0x1000-0x2000"
	// Values are by the names of [Settings].
	Values map[string]string
}

// Targets reads what to watch: "paddr", or the ids of processes.
func (w *Words) Targets(args []string) error {
	for _, arg := range args {
		if arg == string(damon.PAddr) {
			w.Physical = true
			continue
		}
		pid, err := strconv.Atoi(arg)
		if err != nil || pid <= 0 {
			return wrong("%q is neither the id of a process nor paddr", arg)
		}
		w.PIDs = append(w.PIDs, pid)
	}
	if w.Physical && (len(w.PIDs) > 0 || len(args) > 1) {
		return wrong("%s: paddr is all of physical memory, and stands alone", strings.Join(args, " "))
	}
	return nil
}

// Error is what is wrong with words.
type Error struct{ Err error }

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func wrong(format string, args ...any) error { return &Error{fmt.Errorf(format, args...)} }

func (w *Words) empty() bool {
	return !w.Physical && len(w.PIDs)+len(w.Regions)+len(w.Filters)+len(w.Values) == 0
}

// configuration makes of the words what [damon.Merge] takes, over base; ram are the ranges of
// memory.
func (w *Words) configuration(base []damon.Kdamond, ram func() ([]damon.AddrRegion, error)) (any, error) {
	var was damon.Context
	if len(base) > 0 && len(base[0].Contexts) > 0 {
		was = base[0].Contexts[0]
	}
	kdamond, context, scheme := map[string]any{}, map[string]any{}, map[string]any{}
	if err := w.targets(context, len(was.Targets), ram); err != nil {
		return nil, err
	}
	for _, s := range Settings {
		text, ok := w.Values[s.Name]
		if !ok {
			continue
		}
		in := map[part]map[string]any{ofKdamond: kdamond, ofContext: context, ofScheme: scheme}[s.part]
		if err := s.set(in, text); err != nil {
			return nil, err
		}
	}
	if err := w.filters(scheme); err != nil {
		return nil, err
	}
	if len(scheme) > 0 {
		context["schemes"] = padded(scheme, len(was.Schemes))
	}
	if len(context) > 0 {
		kdamond["contexts"] = []any{context}
	}
	return padded(kdamond, len(base)), nil
}

// padded is a list with one first member, and others that stay as they are.
func padded(first map[string]any, n int) []any {
	list := []any{first}
	for len(list) < n {
		list = append(list, map[string]any{})
	}
	return list
}

// set puts a value at its place.
func (s *Setting) set(in map[string]any, text string) error {
	if !s.ends {
		put(in, s.place, value(text))
		return nil
	}
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		return wrong("--%s %s: want min-max, such as 3-max", s.Name, text)
	}
	put(in, s.place+"/min", value(low))
	put(in, s.place+"/max", value(high))
	return nil
}

// value is a number where the text is one: not all fields take words.
func value(text string) any {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return n
	}
	return text
}

func put(in map[string]any, place string, x any) {
	dir, rest, ok := strings.Cut(place, "/")
	if !ok {
		in[place] = x
		return
	}
	inner, _ := in[dir].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
		in[dir] = inner
	}
	put(inner, rest, x)
}

// targets says what is watched, where that is asked for. had is how many targets there are.
func (w *Words) targets(context map[string]any, had int, ram func() ([]damon.AddrRegion, error)) error {
	regions, err := w.regions(ram)
	if err != nil {
		return err
	}
	switch {
	case len(w.PIDs) > 0:
		context["operations"] = string(damon.VAddr)
		var targets []any
		for _, pid := range w.PIDs {
			targets = append(targets, map[string]any{"pid_target": pid, "regions": regions})
		}
		context["targets"] = targets
	case w.Physical:
		context["operations"] = string(damon.PAddr)
		context["targets"] = []any{map[string]any{"regions": regions}}
	case len(regions) > 0:
		context["targets"] = padded(map[string]any{"regions": regions}, had)
	}
	return nil
}

func (w *Words) regions(ram func() ([]damon.AddrRegion, error)) ([]any, error) {
	regions := []any{}
	for _, text := range w.Regions {
		start, end, ok := strings.Cut(text, "-")
		if !ok {
			return nil, wrong("--region %s: want start-end, such as 0x1000-0x2000", text)
		}
		regions = append(regions, map[string]any{"start": value(start), "end": value(end)})
	}
	if !w.Physical || len(regions) > 0 {
		return regions, nil
	}
	memory, err := ram()
	for _, r := range memory {
		regions = append(regions, map[string]any{"start": r.Start, "end": r.End})
	}
	return regions, err
}

// Apply lays first the configuration of a file, where it is not nil, and then words over base.
// ram says where physical memory is: [RAM].
func (w *Words) Apply(base []damon.Kdamond, file any, ram func() ([]damon.AddrRegion, error)) ([]damon.Kdamond, error) {
	list := base
	var err error
	if file != nil {
		if list, err = damon.Merge(list, file); err != nil {
			return nil, err
		}
	}
	if w.empty() {
		return list, nil
	}
	configuration, err := w.configuration(list, ram)
	if err != nil {
		return nil, err
	}
	return damon.Merge(list, configuration)
}

package damon

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Kept is a value that the kernel keeps other than it was wanted.
type Kept struct {
	File        string // below the directory of the kdamonds
	Wanted, Got string
}

// Error implements error.
func (k *Kept) Error() string {
	text := fmt.Sprintf("%s: wanted %q, and the kernel says %q", k.File, k.Wanted, k.Got)
	if k.Got == string(Off) {
		text += ": the kdamond has ended over what it was told, or for want of a target"
	}
	return text
}

// Refused is a write that the kernel refused. Errors wrap what it said.
type Refused struct {
	Write
	// Modules are those that are enabled: while one watches, the interface can't (EBUSY).
	Modules []string
	Err     error
}

// Error implements error.
func (r *Refused) Error() string {
	text := fmt.Sprintf("%s: %q: the kernel refuses it: %v", r.File, r.To, r.Err)
	if len(r.Modules) > 0 {
		text += fmt.Sprintf("; %s is enabled, and beside it nothing else may watch: write N to /sys/module/%s/parameters/enabled first",
			strings.Join(r.Modules, ", "), r.Modules[0])
	}
	return text
}

// Unwrap returns what the kernel said.
func (r *Refused) Unwrap() error { return r.Err }

// write writes one value. A newline would become part of a path; nothing at all is no write.
func (f FS) write(w Write) error {
	full := filepath.Join(f.kdamonds(), w.File)
	text := w.To
	if text == "" {
		text = "\n"
	}
	var modules []string // beside which nothing else may watch, however long one waits
	err := f.patiently(func() error { return f.tree.write(full, text) }, func() bool {
		if w.To == string(TurnOn) && w.command() {
			modules = f.enabled()
		}
		return len(modules) > 0
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if since, ok := optionalSince(w.File); ok {
			return &Unsupported{w.File, since}
		}
	}
	refused := &Refused{Write: w, Modules: modules, Err: failed(full, err)}
	var of *Error
	if errors.As(refused.Err, &of) {
		refused.Err = of.Err // the file is named already
	}
	return refused
}

func (f FS) kdamonds() string { return filepath.Join(f.Admin(), "kdamonds") }

// optionalSince says which version brought a file, or the directory that it is in.
func optionalSince(file string) (since string, ok bool) {
	place := pattern(path.Join("kdamonds", file))
	for _, c := range newReader(FS{}, "").capabilities() {
		if place == c.File || strings.HasPrefix(place, c.File+"/") {
			since, ok = c.Since, true // the innermost is the last
		}
	}
	return since, ok
}

// enabled lists the modules that are switched on.
func (f FS) enabled() []string {
	m, err := f.Modules()
	if err != nil {
		return nil
	}
	var names []string
	if m.Reclaim != nil && m.Reclaim.Enabled {
		names = append(names, "damon_reclaim")
	}
	if m.LRUSort != nil && m.LRUSort.Enabled {
		names = append(names, "damon_lru_sort")
	}
	if m.Stat != nil && m.Stat.Enabled {
		names = append(names, "damon_stat")
	}
	return names
}

// apply carries out a change, and returns what it wrote and what is there then. Where that
// fails, it puts back what was before.
func (f FS) apply(before, want []Kdamond, writes []Write) ([]Write, []Kdamond, error) {
	done, after, err := f.reach(want, writes)
	if older := olderFilters(err, want); older != nil { // what was made anew has shown it
		done, after, err = f.goOn(older, done)
	}
	if err == nil {
		return done, after, nil
	}
	return nil, nil, f.putBack(before, done, err)
}

// goOn carries out the rest of a change.
func (f FS) goOn(want []Kdamond, done []Write) ([]Write, []Kdamond, error) {
	in, err := f.Read()
	if err != nil {
		return done, nil, err
	}
	writes, err := Diff(in.Kdamonds, want)
	if err != nil {
		return done, nil, err
	}
	more, after, err := f.reach(want, writes)
	return slices.Concat(done, more), after, err
}

// olderFilters puts filters into the one directory for them that kernels before 6.15 have,
// in the order in which they are asked, where it is for the others that a change failed.
func olderFilters(err error, want []Kdamond) []Kdamond {
	var of *Unsupported
	if !errors.As(err, &of) {
		return nil
	}
	parts := strings.Split(of.File, "/")
	if !slices.Contains(parts, "core_filters") && !slices.Contains(parts, "ops_filters") {
		return nil
	}
	older := deepCopy(want)
	for n := range older {
		for i := range older[n].Contexts {
			for j := range older[n].Contexts[i].Schemes {
				s := &older[n].Contexts[i].Schemes[j]
				s.Filters = slices.Concat(s.CoreFilters, s.OpsFilters, s.Filters)
				s.CoreFilters, s.OpsFilters = nil, nil
			}
		}
	}
	return older
}

// reach writes values, compares what the kernel then says with what is wanted, and only
// then gives the commands. done is what the kernel took.
func (f FS) reach(want []Kdamond, writes []Write) (done []Write, after []Kdamond, err error) {
	values := 0
	for ; values < len(writes) && !writes[values].command(); values++ {
		if err := f.write(writes[values]); err != nil {
			return writes[:values], nil, err
		}
	}
	in, err := f.Read()
	if err == nil {
		err = kept(in.Kdamonds, want)
	}
	if err != nil {
		return writes[:values], nil, err
	}
	for n, w := range writes[values:] {
		if err := f.command(w); err != nil {
			return writes[:values+n], nil, err
		}
	}
	if in, err = f.Read(); err == nil {
		err = keptStates(in.Kdamonds, want)
	}
	if err != nil {
		return writes, nil, err
	}
	return writes, in.Kdamonds, nil
}

// keptStates compares the states, and how many there are: somebody may have made all anew.
func keptStates(got, want []Kdamond) error {
	if len(got) != len(want) {
		return &Kept{countFile, fmt.Sprint(len(want)), fmt.Sprint(len(got))}
	}
	for n := range want {
		if got[n].State != want[n].State {
			return &Kept{path.Join(fmt.Sprint(n), "state"), string(want[n].State), string(got[n].State)}
		}
	}
	return nil
}

// command gives a command. A kdamond that has ended by itself can't be turned off; it is.
func (f FS) command(w Write) error {
	err := f.write(w)
	if err == nil || w.To != string(TurnOff) {
		return err
	}
	state, readErr := f.readText(filepath.Join(f.kdamonds(), w.File))
	if readErr == nil && State(state) == Off {
		return nil
	}
	return err
}

// kept compares the values that are there with those that are wanted.
func kept(got, want []Kdamond) error {
	left, err := different(got, want)
	if err != nil {
		return err
	}
	for _, w := range left {
		if !w.command() {
			return &Kept{w.File, w.To, w.From}
		}
	}
	return nil
}

// different lists the writes that are left, without intervals that the kernel tunes.
func different(got, want []Kdamond) ([]Write, error) {
	all, err := Diff(got, want)
	if err != nil {
		return nil, err
	}
	var left []Write
	for _, w := range all {
		if !tuned(want, w.File) {
			left = append(left, w)
		}
	}
	return left, nil
}

// tuned reports whether a file is an interval that the kernel sets by a goal.
func tuned(list []Kdamond, file string) bool {
	for n, k := range list {
		for i, c := range k.Contexts {
			goal, dir := c.Attrs.Intervals.Goal, fmt.Sprintf("%d/contexts/%d/monitoring_attrs/intervals", n, i)
			if goal != nil && goal.Aggrs > 0 && (file == dir+"/sample_us" || file == dir+"/aggr_us") {
				return true
			}
		}
	}
	return false
}

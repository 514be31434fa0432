package damon

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
)

// Write is one write into a file.
type Write struct {
	File string `json:"file"` // below the directory of the kdamonds
	// From is what the file says now. Files of directories that a write before it makes (New)
	// have nothing to say.
	From string `json:"from"`
	To   string `json:"to"`
	New  bool   `json:"new"`
}

// Unsupported is a value that is wanted, and for which this kernel has no file.
type Unsupported struct {
	File  string // below the directory of the kdamonds
	Since string // the version of Linux that brought it
}

// Error implements error.
func (u *Unsupported) Error() string {
	return fmt.Sprintf("%s: this kernel has no such file; Linux %s brought it: leave the value out", u.File, u.Since)
}

// command reports whether the write is a command to the state of a kdamond.
func (w *Write) command() bool { return filepath.Base(w.File) == "state" }

// Command is what can be written to the state of a kdamond.
type Command string

// The commands. All but the first two want it to run.
const (
	TurnOn          Command = "on"
	TurnOff         Command = "off"
	Commit          Command = "commit" // takes over what the files say
	CommitGoals     Command = "commit_schemes_quota_goals"
	UpdateStats     Command = "update_schemes_stats"
	UpdateBytes     Command = "update_schemes_tried_bytes"
	UpdateRegions   Command = "update_schemes_tried_regions"
	ClearRegions    Command = "clear_schemes_tried_regions"
	UpdateEffective Command = "update_schemes_effective_quotas"
	UpdateIntervals Command = "update_tuned_intervals"
)

const countFile = "nr_kdamonds"

// Diff lists the writes that make kdamonds that are now there those that are wanted, in the
// order in which the kernel takes them: the number of directories before what is in them, and
// commands to the states at the end. What is nil in want stays as it is, as
// do the files that are the kernel's to write. Another number of kdamonds means that all
// are made anew. A value that all kernels have without the file that says it (0 of refresh_ms) asks for
// nothing where that is missing. Errors are [*Unsupported].
func Diff(now, want []Kdamond) ([]Write, error) {
	var d differ
	d.list("", tag{list: true, count: countFile}, reflect.ValueOf(now), reflect.ValueOf(want))
	if d.err != nil {
		return nil, d.err
	}
	return append(d.values, d.commands...), nil
}

type differ struct {
	values   []Write
	commands []Write
	err      error // the first
}

func (d *differ) add(w Write) { d.values = append(d.values, w) }

// list compares the numbered directories in one directory. now is not valid where it is new.
func (d *differ) list(dir string, t tag, now, want reflect.Value) {
	had := 0
	if now.IsValid() {
		had = now.Len()
	}
	same := had == want.Len()
	if !same {
		write := Write{File: filepath.Join(dir, t.count), To: strconv.Itoa(want.Len()), New: !now.IsValid()}
		if !write.New {
			write.From = strconv.Itoa(had)
		}
		d.add(write)
	}
	for n := range want.Len() {
		var was reflect.Value
		if same {
			was = now.Index(n)
		}
		d.object(filepath.Join(dir, strconv.Itoa(n)), was, want.Index(n))
	}
}

func (d *differ) object(dir string, now, want reflect.Value) {
	before := len(d.values)
	for i := range want.NumField() {
		t, ok := tagOf(want.Type().Field(i))
		if !ok || t.mode != "" {
			continue
		}
		var was reflect.Value
		if now.IsValid() {
			was = now.Field(i)
		}
		d.field(filepath.Join(dir, t.name), t, was, want.Field(i))
	}
	if k, ok := want.Interface().(Kdamond); ok {
		d.state(dir, now, k.State, len(d.values) > before)
	}
}

func (d *differ) field(path string, t tag, now, want reflect.Value) {
	if t.optional {
		missing := now.IsValid() && now.IsNil()
		if want.IsNil() || (missing || !now.IsValid()) && usual(t, want) {
			return
		}
		if missing {
			d.unsupported(path, t)
			return
		}
	}
	if t.pointer {
		want = want.Elem()
		if now.IsValid() {
			now = now.Elem()
		}
	}
	switch {
	case t.list:
		d.list(path, t, now, want)
	case t.scalar:
		d.scalar(path, now, want)
	default:
		d.object(path, now, want)
	}
}

func (d *differ) unsupported(path string, t tag) {
	if d.err == nil {
		d.err = &Unsupported{path, t.since}
	}
}

// usual reports whether a value of a file that not all kernels have is what the kernel does
// without: then it is no wish for the file, and need not be written where it is new.
func usual(t tag, v reflect.Value) bool {
	v = reflect.Indirect(v)
	switch {
	case t.list:
		return v.Len() == 0
	case t.scalar:
		return format(v) == t.usual || t.usual == "" && slices.Contains([]string{"0", "N", ""}, format(v))
	}
	for i := range v.NumField() {
		inner, ok := tagOf(v.Type().Field(i))
		if ok && !usual(inner, v.Field(i)) {
			return false
		}
	}
	return true
}

func (d *differ) scalar(path string, now, want reflect.Value) {
	write := Write{File: path, To: format(want), New: !now.IsValid()}
	if write.New && write.To == "" {
		return // as it is made
	}
	if !write.New {
		write.From = format(now)
	}
	if write.New || write.From != write.To {
		d.add(write)
	}
}

// state adds the command that a kdamond needs after what was written.
func (d *differ) state(dir string, now reflect.Value, want State, written bool) {
	was := Off
	if now.IsValid() {
		was = now.Interface().(Kdamond).State
	}
	write := Write{File: filepath.Join(dir, "state"), From: string(was), New: !now.IsValid()}
	switch {
	case want == Off && was == On:
		write.To = string(TurnOff)
	case want == On && was == Off:
		write.To = string(TurnOn)
	case want == On && written:
		write.To = string(Commit)
	default:
		return
	}
	d.commands = append(d.commands, write)
}

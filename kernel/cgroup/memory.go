package cgroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Amount is a number of bytes, or [Unlimited].
type Amount uint64

// Unlimited is the amount of a limit that is none.
const Unlimited Amount = math.MaxUint64

// MarshalJSON writes the number, or "max".
func (a Amount) MarshalJSON() ([]byte, error) {
	if a == Unlimited {
		return []byte(`"max"`), nil
	}
	return json.Marshal(uint64(a))
}

// ErrMalformed: the text is not what the kernel's documentation says.
var ErrMalformed = errors.New("malformed")

// Memory is what a group uses and may use. Pointers are nil where it has no such file.
type Memory struct {
	Current *Amount `json:"current"`
	Peak    *Amount `json:"peak"`
	Max     *Amount `json:"max"`
	High    *Amount `json:"high"`
	Low     *Amount `json:"low"`
	Min     *Amount `json:"min"`
	Soft    *Amount `json:"soft"`
	// Swap used and allowed; of version 2 alone, since version 1 counts memory and swap
	// together.
	Swap    *Amount `json:"swap"`
	SwapMax *Amount `json:"swap_max"`
}

// Events counts what happened to a group since it was made: in version 2 to it and all
// below it. nil where it is not counted.
type Events struct {
	Low  *uint64 `json:"low"`  // reclaimed although below its protection
	High *uint64 `json:"high"` // throttled above memory.high
	// Max is how often it came to its limit. Version 1 of Linux 6.18 counts nothing where
	// it comes to that of memory and swap together first: then Memory.Peak is at the limit.
	Max          *uint64 `json:"max"`
	OOM          *uint64 `json:"oom"`      // at its limit, and nothing could be reclaimed
	OOMKill      *uint64 `json:"oom_kill"` // processes killed
	OOMGroupKill *uint64 `json:"oom_group_kill"`
	// UnderOOM: tasks wait for memory now; KillDisabled: they wait instead of being killed
	// (version 1).
	UnderOOM     *bool `json:"under_oom,omitempty"`
	KillDisabled *bool `json:"kill_disabled,omitempty"`
}

// version of a group's memory files; 0 where it has none.
func version(dir string) (int, error) {
	for _, probe := range []struct {
		file    string
		version int
	}{{"memory.usage_in_bytes", 1}, {"memory.current", 2}, {"memory.stat", 2}} {
		_, err := os.Stat(filepath.Join(dir, probe.file))
		if err == nil {
			return probe.version, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("%s: %w", dir, ErrNoController)
}

// ReadMemory reads the group at dir.
func ReadMemory(dir string) (Memory, error) {
	v, err := version(dir)
	if err != nil {
		return Memory{}, err
	}
	r := reader{dir: dir}
	var m Memory
	if v == 1 {
		m = Memory{Current: r.amount("memory.usage_in_bytes"), Peak: r.amount("memory.max_usage_in_bytes"),
			Max: r.amount("memory.limit_in_bytes"), Soft: r.amount("memory.soft_limit_in_bytes")}
	} else {
		m = Memory{Current: r.amount("memory.current"), Peak: r.amount("memory.peak"), Max: r.amount("memory.max"), High: r.amount("memory.high"),
			Low: r.amount("memory.low"), Min: r.amount("memory.min"), Swap: r.amount("memory.swap.current"), SwapMax: r.amount("memory.swap.max")}
	}
	return m, r.err
}

// ReadEvents reads the group at dir.
func ReadEvents(dir string) (Events, error) {
	v, err := version(dir)
	if err != nil {
		return Events{}, err
	}
	r := reader{dir: dir}
	if v == 2 {
		n := r.numbers("memory.events")
		return Events{Low: n["low"], High: n["high"], Max: n["max"], OOM: n["oom"], OOMKill: n["oom_kill"], OOMGroupKill: n["oom_group_kill"]}, r.err
	}
	n := r.numbers("memory.oom_control")
	e := Events{Max: r.failures(), OOMKill: n["oom_kill"], UnderOOM: yes(n["under_oom"]), KillDisabled: yes(n["oom_kill_disable"])}
	return e, r.err
}

// failures is how often a group of version 1 came to its limit. Where the limit of memory
// and swap together is not above that of memory, the kernel comes to it first, and counts,
// if at all, there alone.
func (r *reader) failures() *uint64 {
	n := r.number("memory.failcnt")
	if both := r.number("memory.memsw.failcnt"); n != nil && both != nil {
		*n += *both
	}
	return n
}

func yes(n *uint64) *bool {
	if n == nil {
		return nil
	}
	on := *n != 0
	return &on
}

// reader reads the files of one group, and keeps the first error.
type reader struct {
	dir string
	err error
}

// text returns the content of a file; false where there is none.
func (r *reader) text(file string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		if r.err == nil && !errors.Is(err, fs.ErrNotExist) {
			r.err = err
		}
		return "", false
	}
	return strings.TrimSpace(string(b)), true
}

func (r *reader) bad(file, text string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w: %q", filepath.Join(r.dir, file), ErrMalformed, text)
	}
}

func (r *reader) number(file string) *uint64 {
	text, ok := r.text(file)
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.bad(file, text)
		return nil
	}
	return &n
}

func (r *reader) amount(file string) *Amount {
	text, ok := r.text(file)
	if !ok {
		return nil
	}
	a, err := parseAmount(text)
	if err != nil {
		r.bad(file, text)
		return nil
	}
	return &a
}

// parseAmount parses bytes, or "max". Version 1 writes no limit as the highest number of
// pages that fits in 63 bits, whatever the size of a page.
func parseAmount(text string) (Amount, error) {
	if text == "max" {
		return Unlimited, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if n >= math.MaxInt64&^(1<<20-1) {
		return Unlimited, err
	}
	return Amount(n), err
}

func (r *reader) numbers(file string) map[string]*uint64 {
	text, ok := r.text(file)
	if !ok {
		return nil
	}
	all, err := parseNumbers(text)
	if err != nil {
		r.bad(file, text)
	}
	return all
}

// parseNumbers parses lines of a name and a number.
func parseNumbers(text string) (map[string]*uint64, error) {
	all := map[string]*uint64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return nil, err
		}
		all[name] = &n
	}
	return all, nil
}

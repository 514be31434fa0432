package damon

import (
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// fakeKernel stands for the kernel's tree, with its errors: it makes directories anew where
// their number is written, refuses what the kernel refuses, and shows what a kdamond did
// only when it is asked. TestScript holds it against a real kernel.
type fakeKernel struct {
	mu      sync.Mutex
	root    string
	files   map[string]string // below kdamonds, what they say
	age     age
	module  string         // it watches: beside it nothing else may
	pids    []int          // of processes that there are
	next    int            // the pid of the next kdamond
	active  map[int]string // what a kdamond that runs was told
	counts  map[int]int    // what it tried
	writes  []string       // what was written, in order
	refuses func(file string) error
	keeps   map[string]string // what a file says whatever is written
}

// fakeFiles are the files of a new directory, by its pattern; those of one that is in
// it and always there stand with it.
var fakeFiles = map[string]string{
	"N": "state=off pid=-1 refresh_ms=0 contexts/nr_contexts=0",
	"N/contexts/N": "avail_operations=vaddr,fvaddr,paddr operations=vaddr addr_unit=1 " +
		"monitoring_attrs/intervals/sample_us=5000 monitoring_attrs/intervals/aggr_us=100000 monitoring_attrs/intervals/update_us=60000000 " +
		"monitoring_attrs/intervals/intervals_goal/access_bp=0 monitoring_attrs/intervals/intervals_goal/aggrs=0 " +
		"monitoring_attrs/intervals/intervals_goal/min_sample_us=0 monitoring_attrs/intervals/intervals_goal/max_sample_us=0 " +
		"monitoring_attrs/nr_regions/min=10 monitoring_attrs/nr_regions/max=1000 targets/nr_targets=0 schemes/nr_schemes=0",
	"N/contexts/N/targets/N":           "pid_target=0 regions/nr_regions=0",
	"N/contexts/N/targets/N/regions/N": "start=0 end=0",
	"N/contexts/N/schemes/N": "action=stat target_nid=-1 apply_interval_us=0 " +
		"access_pattern/sz/min=0 access_pattern/sz/max=0 access_pattern/nr_accesses/min=0 access_pattern/nr_accesses/max=0 " +
		"access_pattern/age/min=0 access_pattern/age/max=0 " +
		"quotas/ms=0 quotas/bytes=0 quotas/reset_interval_ms=0 quotas/effective_bytes=0 quotas/goals/nr_goals=0 " +
		"quotas/weights/sz_permil=0 quotas/weights/nr_accesses_permil=0 quotas/weights/age_permil=0 " +
		"watermarks/metric=none watermarks/interval_us=0 watermarks/high=0 watermarks/mid=0 watermarks/low=0 " +
		"core_filters/nr_filters=0 ops_filters/nr_filters=0 filters/nr_filters=0 dests/nr_dests=0 " +
		"stats/nr_tried=0 stats/sz_tried=0 stats/nr_applied=0 stats/sz_applied=0 stats/sz_ops_filter_passed=0 stats/qt_exceeds=0 " +
		"tried_regions/total_bytes=0",
	"N/contexts/N/schemes/N/quotas/goals/N": "target_metric=user_input target_value=0 current_value=0 nid=0",
	"N/contexts/N/schemes/N/core_filters/N": fakeFilter,
	"N/contexts/N/schemes/N/ops_filters/N":  fakeFilter,
	"N/contexts/N/schemes/N/filters/N":      fakeFilter,
	"N/contexts/N/schemes/N/dests/N":        "id=0 weight=0",
}

const fakeFilter = "type=anon matching=N allow=N memcg_path= addr_start=0 addr_end=0 damon_target_idx=0 min=0 max=0"

// age is how old the kernel is: what TestScript found to differ.
type age int

const (
	linux73  age = iota
	linux618     // a kdamond that has ended: off is EPERM, other commands EINVAL
	linux612     // has less files; ends a kdamond, and says nothing, where it refuses to commit
)

// lacks612 are files that Linux 6.12 has none of.
var lacks612 = []string{"N/refresh_ms", "N/contexts/N/addr_unit", "N/contexts/N/monitoring_attrs/intervals/intervals_goal",
	"N/contexts/N/schemes/N/core_filters", "N/contexts/N/schemes/N/ops_filters", "N/contexts/N/schemes/N/dests",
	"N/contexts/N/schemes/N/filters/N/allow", "N/contexts/N/schemes/N/filters/N/min", "N/contexts/N/schemes/N/filters/N/max",
	"N/contexts/N/schemes/N/stats/sz_ops_filter_passed", "N/contexts/N/schemes/N/quotas/goals/N/nid"}

func newFake(a age) *fakeKernel {
	f := &fakeKernel{root: "/fake/kernel/mm/damon/admin", age: a, pids: []int{1, os.Getpid()}, next: 100, active: map[int]string{},
		counts: map[int]int{}, files: map[string]string{"nr_kdamonds": "0"}, keeps: map[string]string{}}
	return f
}

// at is the FS of it.
func (f *fakeKernel) at() FS { return FS{sys: "/fake", tree: f} }

// control is a control of it, with a record of its own.
func (f *fakeKernel) control(t *testing.T, o Options) *Control {
	return &Control{f.at(), o, ledger{t.TempDir(), "this-boot"}}
}

// below is the place of a path below the directory of the kdamonds.
func (f *fakeKernel) below(full string) (string, bool) {
	if full == f.root+"/kdamonds" {
		return "", true
	}
	return strings.CutPrefix(full, f.root+"/kdamonds/")
}

func (f *fakeKernel) stat(full string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(full)
}

func (f *fakeKernel) find(full string) error {
	file, ok := f.below(full)
	if full == f.root || ok && file == "" || full == "/fake/module/damon_stat/parameters" && f.module != "" {
		return nil
	}
	for name := range f.files {
		if ok && (name == file || strings.HasPrefix(name, file+"/")) {
			return nil
		}
	}
	return &os.PathError{Op: "stat", Path: full, Err: syscall.ENOENT}
}

func (f *fakeKernel) list(full string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.find(full); err != nil {
		return nil, err
	}
	if full == f.root {
		return []string{"kdamonds"}, nil
	}
	if full == "/fake/module/damon_stat/parameters" {
		return []string{"enabled"}, nil
	}
	file, _ := f.below(full)
	names := map[string]bool{}
	for name := range f.files {
		if rest, ok := strings.CutPrefix(name, file+"/"); ok {
			names[strings.Split(rest, "/")[0]] = true
		} else if file == "" {
			names[strings.Split(name, "/")[0]] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (f *fakeKernel) read(full string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if full == "/fake/module/damon_stat/parameters/enabled" && f.module != "" {
		return "Y\n", nil
	}
	file, _ := f.below(full)
	text, ok := f.files[file]
	if !ok {
		return "", &os.PathError{Op: "open", Path: full, Err: syscall.ENOENT}
	}
	if path.Base(file) == "avail_operations" {
		text = strings.ReplaceAll(text, ",", "\n")
	}
	return text + "\n", nil
}

func (f *fakeKernel) write(full, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, _ := f.below(full)
	err := f.store(file, strings.TrimSuffix(text, "\n"))
	if err == nil {
		f.writes = append(f.writes, file+"="+text)
		return nil
	}
	return &os.PathError{Op: "write", Path: full, Err: err}
}

func (f *fakeKernel) store(file, text string) error {
	if _, ok := f.files[file]; !ok {
		return syscall.ENOENT
	}
	if f.refuses != nil {
		if err := f.refuses(file); err != nil {
			return err
		}
	}
	base := path.Base(file)
	if base == "state" {
		n, _ := strconv.Atoi(path.Dir(file))
		return f.command(n, text)
	}
	if count, ok := strings.CutPrefix(base, "nr_"); ok && slices.Contains(fakeLists, count) {
		return f.count(file, text)
	}
	says, err := fakeParse(file, text)
	if err != nil {
		return err
	}
	if keeps, ok := f.keeps[file]; ok {
		says = keeps
	}
	f.files[file] = says
	return nil
}

var fakeLists = []string{"kdamonds", "contexts", "targets", "regions", "schemes", "goals", "filters", "dests"}

// count makes numbered directories anew.
func (f *fakeKernel) count(file, text string) error {
	n, err := strconv.ParseInt(text, 0, 32)
	switch {
	case err != nil && strings.Contains(err.Error(), "range"):
		return syscall.ERANGE
	case err != nil, n < 0, path.Base(file) == "nr_contexts" && n > 1:
		return syscall.EINVAL
	case file == "nr_kdamonds" && len(f.active) > 0:
		return syscall.EBUSY
	}
	dir := path.Dir(file)
	for name := range f.files {
		first := strings.Split(strings.TrimPrefix(name, dir+"/"), "/")[0]
		if _, err := strconv.Atoi(first); err == nil && (dir == "." || strings.HasPrefix(name, dir+"/")) {
			delete(f.files, name)
		}
	}
	if file == "nr_kdamonds" {
		clear(f.counts)
	}
	for i := range n {
		f.make(path.Join(dir, strconv.FormatInt(i, 10)))
	}
	f.files[file] = strconv.FormatInt(n, 10)
	return nil
}

func (f *fakeKernel) make(dir string) {
	for _, entry := range strings.Fields(fakeFiles[pattern(dir)]) {
		name, says, _ := strings.Cut(entry, "=")
		file := path.Join(dir, name)
		lacks := slices.ContainsFunc(lacks612, func(p string) bool { return pattern(file) == p || strings.HasPrefix(pattern(file), p+"/") })
		if f.age < linux612 || !lacks {
			f.files[file] = says
		}
	}
}

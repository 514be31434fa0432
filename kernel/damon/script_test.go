package damon

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// script is what is written to the fake and to the kernel, one after the other: both must
// answer the same, and say the same then.
var script = []struct{ file, text string }{
	{"nr_kdamonds", "-1"}, {"nr_kdamonds", "x"}, {"nr_kdamonds", "99999999999"}, {"nr_kdamonds", "2"}, {"nr_kdamonds", "1"},
	{"0/state", "off"}, {"0/state", "on"}, {"0/state", "commit"}, {"0/state", "nothing"}, {"0/refresh_ms", "0x10"}, {"0/refresh_ms", "4294967296"},
	{"0/refresh_ms", "0"}, {"0/pid", "3"},
	{"0/contexts/nr_contexts", "2"}, {"0/contexts/nr_contexts", "-1"}, {"0/contexts/nr_contexts", "1"},
	{"0/contexts/0/operations", "other"}, {"0/contexts/0/operations", "paddr"}, {"0/contexts/0/addr_unit", "0"}, {"0/contexts/0/addr_unit", "1"},
	{"0/contexts/0/monitoring_attrs/nr_regions/min", "2"}, {"0/state", "on"},
	{"0/contexts/0/monitoring_attrs/nr_regions/min", "2000"}, {"0/state", "on"}, {"0/contexts/0/monitoring_attrs/nr_regions/min", "010"},
	{"0/contexts/0/monitoring_attrs/intervals/sample_us", "100001"}, {"0/state", "on"},
	{"0/contexts/0/monitoring_attrs/intervals/sample_us", "18446744073709551616"}, {"0/contexts/0/monitoring_attrs/intervals/sample_us", "-5"},
	{"0/contexts/0/monitoring_attrs/intervals/sample_us", "5000"},
	{"0/contexts/0/targets/nr_targets", "2"}, {"0/state", "on"}, {"0/contexts/0/targets/nr_targets", "1"},
	{"0/contexts/0/targets/0/pid_target", "2147483648"}, {"0/contexts/0/targets/0/pid_target", "-3"}, {"0/contexts/0/targets/0/pid_target", "0"},
	{"0/contexts/0/targets/0/regions/nr_regions", "2"}, {"0/contexts/0/targets/0/regions/0/start", "0x100000"},
	{"0/contexts/0/targets/0/regions/0/end", "0x2000000"}, {"0/contexts/0/targets/0/regions/1/start", "4096"}, {"0/state", "on"},
	{"0/contexts/0/targets/0/regions/1/start", "0x2000000"}, {"0/contexts/0/targets/0/regions/1/end", "0x1000000"}, {"0/state", "on"},
	{"0/contexts/0/targets/0/regions/1/end", "0x3000000"},
	{"0/contexts/0/schemes/nr_schemes", "1"}, {"0/contexts/0/schemes/0/action", "eat"}, {"0/contexts/0/schemes/0/action", "pageout"},
	{"0/contexts/0/schemes/0/action", "stat"}, {"0/contexts/0/schemes/0/target_nid", "-2"}, {"0/contexts/0/schemes/0/target_nid", "-1"},
	{"0/contexts/0/schemes/0/watermarks/metric", "hope"}, {"0/contexts/0/schemes/0/watermarks/metric", "free_mem_rate"},
	{"0/contexts/0/schemes/0/watermarks/metric", "none"}, {"0/contexts/0/schemes/0/quotas/weights/sz_permil", "4294967296"},
	{"0/contexts/0/schemes/0/quotas/weights/sz_permil", "7"}, {"0/contexts/0/schemes/0/quotas/effective_bytes", "7"},
	{"0/contexts/0/schemes/0/stats/nr_tried", "7"}, {"0/contexts/0/schemes/0/quotas/goals/nr_goals", "1"},
	{"0/contexts/0/schemes/0/quotas/goals/0/target_metric", "luck"}, {"0/contexts/0/schemes/0/quotas/goals/0/target_metric", "some_mem_psi_us"},
	{"0/contexts/0/schemes/0/quotas/goals/0/target_value", "12"}, {"0/contexts/0/schemes/0/quotas/goals/nr_goals", "0"},
	{"0/contexts/0/schemes/0/filters/nr_filters", "2"}, {"0/contexts/0/schemes/0/filters/0/type", "odd"}, {"0/contexts/0/schemes/0/filters/0/type", "addr"},
	{"0/contexts/0/schemes/0/filters/0/matching", "maybe"}, {"0/contexts/0/schemes/0/filters/0/matching", "1"},
	{"0/contexts/0/schemes/0/filters/0/addr_end", "4096"}, {"0/contexts/0/schemes/0/filters/0/allow", "Y"},
	{"0/contexts/0/schemes/0/filters/1/memcg_path", "/a/b"}, {"0/contexts/0/schemes/0/filters/nr_filters", "0"},
	{"0/contexts/0/schemes/0/core_filters/nr_filters", "1"}, {"0/contexts/0/schemes/0/core_filters/0/type", "anon"},
	{"0/contexts/0/schemes/0/core_filters/0/type", "target"}, {"0/contexts/0/schemes/0/core_filters/nr_filters", "0"},
	{"0/contexts/0/schemes/0/ops_filters/nr_filters", "1"}, {"0/contexts/0/schemes/0/ops_filters/0/type", "addr"},
	{"0/contexts/0/schemes/0/ops_filters/0/type", "unmapped"}, {"0/contexts/0/schemes/0/ops_filters/nr_filters", "0"},
	{"0/contexts/0/schemes/0/dests/nr_dests", "1"}, {"0/contexts/0/schemes/0/dests/0/weight", "3"},
	{"0/contexts/0/schemes/0/other", "3"},
	{"0/state", "on"}, {"0/state", "on"}, {"nr_kdamonds", "0"}, {"nr_kdamonds", "1"}, {"0/contexts/0/monitoring_attrs/nr_regions/max", "900"},
	{"0/state", "commit"}, {"0/contexts/0/monitoring_attrs/nr_regions/min", "2"}, {"0/state", "commit"},
	{"0/contexts/0/monitoring_attrs/nr_regions/min", "10"}, {"0/state", "off"}, {"0/state", "off"}, {"0/state", "update_schemes_stats"}, {"0/state", "commit"}, {"0/state", "on"}, {"0/state", "off"},
	{"nr_kdamonds", "0"},
}

// The fake that other tests use answers as a real kernel does.
func TestScript(t *testing.T) {
	real := guest(t)
	removeAll(t, real)
	fake := newFake(ageOf(t, real))
	for _, step := range script {
		got, want := errnoOf(fake.at(), step.file, step.text), errnoOf(real, step.file, step.text)
		if got != want {
			t.Errorf("%s: %q: the fake says %v, the kernel %v", step.file, step.text, got, want)
		}
		says, kernel := fake.says(t), liveSays(t, real)
		for file, text := range says {
			if kernel[file] != text {
				t.Fatalf("%s: %q: %s is %q in the fake, %q in the kernel", step.file, step.text, file, text, kernel[file])
			}
		}
		for file := range kernel {
			if _, ok := says[file]; !ok && fakeKnows(file) {
				t.Fatalf("%s: %q: the fake has no %s", step.file, step.text, file)
			}
		}
	}
}

// ageOf says how old a kernel is, by the files that it has.
func ageOf(t *testing.T, f FS) age {
	t.Helper()
	for _, w := range []Write{{File: countFile, To: "1"}, {File: "0/contexts/nr_contexts", To: "1"}} {
		if err := f.write(w); err != nil {
			t.Fatal(err)
		}
	}
	in, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	set(t, filepath.Join(f.kdamonds(), countFile), "0")
	switch k := in.Kdamonds[0]; {
	case k.Contexts[0].Pause != nil:
		return linux73
	case k.RefreshMS != nil:
		return linux618
	}
	return linux612
}

func errnoOf(f FS, file, text string) error {
	err := f.tree.write(filepath.Join(f.kdamonds(), file), text)
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		return err
	}
	if err == nil {
		return nil
	}
	return errno
}

// says is what all files say; a kdamond has some pid.
func (f *fakeKernel) says(t *testing.T) map[string]string { return somePID(maps.Clone(f.files)) }

func liveSays(t *testing.T, f FS) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, text := range content(t, f.kdamonds()) {
		files[name] = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", ",")
	}
	return somePID(files)
}

func somePID(files map[string]string) map[string]string {
	for name, text := range files {
		if filepath.Base(name) == "pid" && text != "-1" {
			files[name] = "some"
		}
	}
	return files
}

// fakeKnows reports whether the fake has such a file, on some kernel.
func fakeKnows(file string) bool {
	for dir, entries := range fakeFiles {
		if rest, ok := strings.CutPrefix(pattern(file), dir+"/"); ok && slices.ContainsFunc(strings.Fields(entries),
			func(e string) bool { return strings.HasPrefix(e, rest+"=") }) {
			return true
		}
	}
	return false
}

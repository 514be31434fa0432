package damon

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

var fakeWords = map[string]string{
	"operations":    "vaddr fvaddr paddr",
	"action":        "willneed cold pageout hugepage nohugepage lru_prio lru_deprio migrate_hot migrate_cold stat",
	"metric":        "none free_mem_rate",
	"target_metric": "user_input some_mem_psi_us node_mem_used_bp node_mem_free_bp",
	"core_filters":  "addr target",
	"ops_filters":   "anon active memcg young hugepage_size unmapped",
	"filters":       "anon memcg addr target young hugepage_size unmapped active",
}

// fakeParse is what the kernel makes of a text.
func fakeParse(file, text string) (string, error) {
	base, dir := path.Base(file), path.Base(path.Dir(path.Dir(file)))
	words, isWord := fakeWords[base]
	if base == "type" {
		words, isWord = fakeWords[dir], true
	}
	switch {
	case isWord:
		if !slices.Contains(strings.Fields(words), text) {
			return "", syscall.EINVAL
		}
		return text, nil
	case base == "memcg_path":
		return text, nil
	case base == "matching", base == "allow":
		if yes, ok := map[byte]string{'y': "Y", 'Y': "Y", '1': "Y", 'n': "N", 'N': "N", '0': "N"}[append([]byte(text), ' ')[0]]; ok {
			return yes, nil
		}
		return "", syscall.EINVAL
	case slices.Contains([]string{"pid", "avail_operations", "effective_bytes", "total_bytes"}, base), strings.Contains(file, "/stats/"):
		return "", syscall.EACCES // root passes the mode: the file has no way to store
	}
	return fakeNumber(file, text)
}

func fakeNumber(file, text string) (string, error) {
	base, bits, signed := path.Base(file), 64, false
	switch base {
	case "pid_target", "target_nid", "nid", "damon_target_idx":
		bits, signed = 32, true
	case "refresh_ms", "sz_permil", "nr_accesses_permil", "age_permil", "id", "weight":
		bits = 32
	}
	var says string
	var err error
	if signed {
		var n int64
		n, err = strconv.ParseInt(text, 0, bits)
		says = strconv.FormatInt(n, 10)
	} else {
		var n uint64
		n, err = strconv.ParseUint(text, 0, bits)
		says = strconv.FormatUint(n, 10)
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "range") && base != "pid_target":
		return "", syscall.ERANGE
	case err != nil, base == "addr_unit" && says == "0":
		return "", syscall.EINVAL
	}
	return says, nil
}

// command carries out what is written to a state.
func (f *fakeKernel) command(n int, text string) error {
	_, running := f.active[n]
	_, started := f.counts[n]
	dir := strconv.Itoa(n)
	switch Command(text) {
	case TurnOn:
		return f.turnOn(n)
	case TurnOff:
		if !started {
			return syscall.EINVAL
		}
		if !running && f.age >= linux618 {
			return syscall.EPERM
		}
		f.end(n)
		return nil
	case Commit, CommitGoals, UpdateStats, UpdateBytes, UpdateRegions, ClearRegions, UpdateEffective, UpdateIntervals:
	default:
		return syscall.EINVAL
	}
	if !started || !running && f.age >= linux618 {
		return syscall.EINVAL
	}
	if !running {
		return syscall.ECANCELED
	}
	if Command(text) == Commit {
		if err := f.refusesConfig(dir); err != nil {
			if f.age >= linux612 {
				f.end(n)
				return nil
			}
			return err
		}
		f.active[n] = f.config(dir)
	}
	if Command(text) == UpdateStats {
		for file := range f.files {
			if strings.HasPrefix(file, dir+"/") && path.Base(file) == "nr_tried" {
				f.files[file] = strconv.Itoa(f.counts[n])
			}
		}
	}
	return nil
}

func (f *fakeKernel) turnOn(n int) error {
	dir := strconv.Itoa(n)
	if _, running := f.active[n]; running {
		return syscall.EBUSY
	}
	if err := f.refusesConfig(dir); err != nil {
		return err
	}
	if f.module != "" {
		return syscall.EBUSY
	}
	f.active[n], f.counts[n] = f.config(dir), 0
	f.files[dir+"/state"], f.files[dir+"/pid"] = "on", strconv.Itoa(f.next)
	f.next++
	if f.keeps[dir+"/state"] == "off" {
		f.end(n)
	}
	return nil
}

// end ends a kdamond, as if it was told to, or had nothing left to watch.
func (f *fakeKernel) end(n int) {
	delete(f.active, n)
	f.files[strconv.Itoa(n)+"/state"], f.files[strconv.Itoa(n)+"/pid"] = "off", "-1"
}

// refusesConfig is what the kernel refuses of a set-up when it takes it over.
func (f *fakeKernel) refusesConfig(dir string) error {
	number := func(file string) uint64 {
		n, _ := strconv.ParseUint(f.files[file], 10, 64)
		return n
	}
	c := dir + "/contexts/0/"
	if f.files[dir+"/contexts/nr_contexts"] != "1" || number(c+"monitoring_attrs/nr_regions/min") < 3 ||
		number(c+"monitoring_attrs/nr_regions/min") > number(c+"monitoring_attrs/nr_regions/max") ||
		number(c+"monitoring_attrs/intervals/sample_us") > number(c+"monitoring_attrs/intervals/aggr_us") {
		return syscall.EINVAL
	}
	physical := f.files[c+"operations"] == string(PAddr)
	if physical && number(c+"targets/nr_targets") > 1 {
		return syscall.EINVAL
	}
	for t := range number(c + "targets/nr_targets") {
		target := c + "targets/" + strconv.FormatUint(t, 10) + "/"
		if !physical && !slices.Contains(f.pids, int(number(target+"pid_target"))) {
			return syscall.EINVAL
		}
		end := uint64(0)
		for r := range number(target + "regions/nr_regions") {
			region := target + "regions/" + strconv.FormatUint(r, 10) + "/"
			if number(region+"start") > number(region+"end") || number(region+"start") < end {
				return syscall.EINVAL
			}
			end = number(region + "end")
		}
	}
	return nil
}

// config is all that is set up for a kdamond.
func (f *fakeKernel) config(dir string) string {
	var b strings.Builder
	for _, file := range slices.Sorted(maps.Keys(f.files)) {
		if strings.HasPrefix(file, dir+"/contexts/") && !strings.Contains(file, "/stats/") {
			b.WriteString(file + "=" + f.files[file] + "\n")
		}
	}
	return b.String()
}

// everything is what the tree says, and what runs.
func (f *fakeKernel) everything() (files map[string]string, active map[int]string) {
	return maps.Clone(f.files), maps.Clone(f.active)
}

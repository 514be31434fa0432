package offender_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/internal/offender/offendertest"
)

// view is one look at the processes of a program.
type view struct {
	*offendertest.Offender
	entries map[int][]entry // by process
}

func look(t testing.TB, o *offendertest.Offender) view {
	t.Helper()
	v := view{o, map[int][]entry{}}
	for _, pid := range o.PIDs {
		v.entries[pid] = smaps(t, pid)
	}
	return v
}

// inQuestion is the mapping that the report names.
func (v view) inQuestion(t testing.TB) entry {
	t.Helper()
	return find(t, v.entries[v.PID], v.Start, v.End)
}

// seen says for each rule whether a program breaks it, looking at its processes from
// outside.
var seen = map[string]func(t testing.TB, v view) bool{
	"wx-mapping": anyEntry(func(e entry) bool {
		return strings.Contains(e.perms, "w") && strings.Contains(e.perms, "x")
	}),
	"inode-written-and-executed": dualMapped,
	"memfd-executable": func(t testing.TB, v view) bool {
		for _, pid := range v.PIDs {
			for _, f := range files(t, pid) {
				if strings.HasPrefix(f.link, "/memfd:") && f.mode&0o111 != 0 {
					return true
				}
			}
			if strings.HasPrefix(exe(t, pid), "/memfd:") {
				return true // it could not run if it were not
			}
		}
		return false
	},
	"memfd-noexec-mapped-executable": func(t testing.TB, v view) bool {
		for pid, entries := range v.entries {
			for _, e := range entries {
				// What runs from a memfd is no memfd that was made not to run.
				if strings.HasPrefix(e.name, "/memfd:") && strings.Contains(e.perms, "x") && exe(t, pid) != e.name {
					return true
				}
			}
		}
		return false
	},
	"program-in-memfd": func(t testing.TB, v view) bool {
		return strings.HasPrefix(exe(t, v.PID), "/memfd:")
	},
	"program-deleted": func(t testing.TB, v view) bool {
		link := exe(t, v.PID)
		return strings.HasSuffix(link, " (deleted)") && !strings.HasPrefix(link, "/memfd:") && inode(link) == ""
	},
	"executable-mapping-deleted": anyEntry(func(e entry) bool {
		path, deleted := strings.CutSuffix(e.name, " (deleted)")
		// An existing file may have such a name. A memfd always has it.
		return deleted && strings.Contains(e.perms, "x") && !strings.HasPrefix(path, "/memfd:") && inode(e.name) != e.ino
	}),
	"locked-not-resident": anyEntry(func(e entry) bool {
		accessible := e.has("rd") || e.has("wr") || e.has("ex")
		return e.has("lo") && !e.has("lf") && accessible && e.kB("Rss") < e.kB("Size")
	}),
	"locked-on-fault": anyEntry(func(e entry) bool { return e.has("lf") && e.kB("Rss") < e.kB("Size") }),
	"declared-not-locked": func(t testing.TB, v view) bool {
		e := v.inQuestion(t)
		return e.kB("Rss") > 0 && !e.has("lo")
	},
	"droppable":          anyEntry(func(e entry) bool { return e.has("dp") }),
	"mergeable":          anyEntry(func(e entry) bool { return e.has("mg") }),
	"declared-read-hint": anyEntry(func(e entry) bool { return e.has("sr") || e.has("rr") }),
	"executable-stack":   anyEntry(func(e entry) bool { return e.has("gd") && e.has("ex") }),
	"secret-memory": func(t testing.TB, v view) bool {
		for _, f := range files(t, v.PID) {
			if f.link == "/secretmem (deleted)" {
				return true
			}
		}
		return false
	},
	"declared-pages-shared": func(t testing.TB, v view) bool {
		e := v.inQuestion(t)
		if e.kB("Rss") != e.kB("Size") {
			t.Errorf("the pages in question are not all present: %+v", e)
		}
		return e.kB("Shared_Clean")+e.kB("Shared_Dirty") > 0
	},
	"vma-count": func(t testing.TB, v view) bool {
		text, err := os.ReadFile("/proc/sys/vm/max_map_count")
		if err != nil {
			t.Fatal(err)
		}
		limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(maps(t, v.PID), "\n") > limit*9/10
	},
	"manifest": func(t testing.TB, v view) bool {
		before := maps(t, v.PID)
		v.Go(t)
		return maps(t, v.PID) != before
	},
}

// onlyOwn are the rules that are looked at only where they are a program's own: the
// others break them by right, or have no mapping that they could be judged by.
var onlyOwn = map[string]bool{"declared-not-locked": true, "declared-pages-shared": true, "manifest": true}

func anyEntry(is func(entry) bool) func(testing.TB, view) bool {
	return func(t testing.TB, v view) bool {
		for _, entries := range v.entries {
			for _, e := range entries {
				if is(e) {
					return true
				}
			}
		}
		return false
	}
}

func dualMapped(t testing.TB, v view) bool {
	written, executed := map[string]bool{}, map[string]bool{}
	for _, entries := range v.entries {
		for _, e := range entries {
			if e.ino == "0" {
				continue
			}
			file := e.dev + " " + e.ino
			if strings.Contains(e.perms, "w") && strings.HasSuffix(e.perms, "s") {
				written[file] = true
			}
			if strings.Contains(e.perms, "x") {
				executed[file] = true
			}
		}
	}
	for file := range written {
		if executed[file] {
			return true
		}
	}
	return false
}

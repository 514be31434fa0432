package damon

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/process"
)

// fakeProc has kernel threads with these names, by their ids.
func fakeProc(t *testing.T, threads map[int]string) process.FS {
	t.Helper()
	root := t.TempDir()
	for pid, name := range threads {
		const kthread = 0x200000
		stat := fmt.Sprintf("%d (%s) I 2 0 0 0 -1 %d", pid, name, kthread) + strings.Repeat(" 0", 43)
		writeFile(t, filepath.Join(root, fmt.Sprint(pid), "stat"), stat)
	}
	return process.At(root)
}

// Whose a thread is goes by who names it.
func TestOwners(t *testing.T) {
	f := tree618(t)
	writeFile(t, f.path("module/damon_reclaim/parameters/enabled"), "Y")
	writeFile(t, f.path("module/damon_reclaim/parameters/kdamond_pid"), "78")
	proc := fakeProc(t, map[int]string{77: "kdamond.0", 78: "kdamond.1", 79: "kdamond.2", 80: "kswapd0"})
	owners := func() map[int]Owner {
		s, err := f.Status(proc)
		if err != nil {
			t.Fatal(err)
		}
		by := map[int]Owner{}
		for _, thread := range s.Threads {
			by[thread.PID] = thread.Owner
		}
		return by
	}
	if got, want := owners(), (map[int]Owner{77: ByInterface, 78: ByReclaim, 79: ByUnknown}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	writeFile(t, f.path("module/damon_stat/parameters/enabled"), "Y")
	if got := owners(); got[79] != ByStat {
		t.Errorf("%v: what nobody else names is damon_stat's", got)
	}
}

// What is hidden can't say whose a thread is, and nothing is concluded from its silence.
func TestOwnerHidden(t *testing.T) {
	enabled := &Modules{Stat: &StatModule{Enabled: true}}
	for _, s := range []*Status{{Modules: enabled}, {Interface: &Interface{}}, {}} {
		if got := s.thread(7, "kdamond.0"); got.Owner != ByUnknown || !strings.Contains(got.Evidence, "hidden") {
			t.Errorf("%+v", got)
		}
	}
}

// Who has a file of the interface open is named.
func TestHolders(t *testing.T) {
	f := tree618(t)
	file, err := os.Open(filepath.Join(f.Admin(), "kdamonds/0/state"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s, err := f.Status(process.Default())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Holders) != 1 || s.Holders[0].PID != os.Getpid() || s.Holders[0].Files[0] != "kdamonds/0/state" {
		t.Errorf("%+v", s.Holders)
	}
}

func TestReadConfig(t *testing.T) {
	f := tree618(t)
	s, err := f.Status(fakeProc(t, map[int]string{77: "kdamond.0"}))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	if list, err := ReadConfig(&b); err != nil || !reflect.DeepEqual(list, s.Interface.Kdamonds) {
		t.Errorf("%+v, %v", list, err)
	}
	for _, text := range []string{`[]`, `{"kdamonds": []}`, `[{"state": "on"}]`} {
		if _, err := ReadConfig(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "{}", "null", "[] []", `[{"stat": "on"}]`, `{"interface": null}`, `{"kdamonds": 1}`, "{", whole[:len(whole)-4]} {
		if _, err := ReadConfig(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// No configuration makes this package fail; what is found names its place.
func FuzzConfig(f *testing.F) {
	f.Add(`[{"state":"on","pid":1,"contexts":[{"operations":"paddr","monitoring_attrs":{},"targets":[],"schemes":[{"action":"pageout",` +
		`"core_filters":[{"type":"addr","matching":true}],"ops_filters":[{"type":"memcg","memcg_path":"/a"}]}]}]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadConfig(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, found := range Lint(list) {
			if found.File == "" || found.What == "" || found.Do == "" || found.Kind == "" {
				t.Errorf("%+v", found)
			}
		}
		for _, k := range list {
			for _, c := range k.Contexts {
				for i := range c.Schemes {
					if e := c.Schemes[i].Explain(c.Operations, Page{}); e.Verdict == "" || e.Why == "" {
						t.Errorf("%+v", e)
					}
				}
			}
		}
	})
}
